"""Text cells to values."""

import json
import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.records import RejectionCode
from scoring.schema import FieldType, Schema
from scoring.text import parse_cell
from scoring.validation import validate_columns, validate_rows

NUMERIC = (FieldType.INTEGER, FieldType.LONG, FieldType.FLOAT, FieldType.DOUBLE)


def bits(value: object) -> bytes:
    """A float's bits, so that -0.0 and NaN compare."""
    assert isinstance(value, float)
    return struct.pack("<d", value)


@pytest.mark.parametrize("kind", FieldType)
@pytest.mark.parametrize("text", [None, ""])
def test_an_empty_cell_is_null_in_every_type(kind: FieldType, text: str | None) -> None:
    """Empty and absent text are None, whatever the feature's type."""
    assert parse_cell(kind, text) is None


@pytest.mark.parametrize("kind", NUMERIC)
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("+3", 3),
        ("-03", -3),
        ("3.0", 3.0),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        ("9223372036854775808", 2**63),
    ],
)
def test_numbers(kind: FieldType, text: str, value: float) -> None:
    """Digits are an int, a point or an exponent makes a float."""
    parsed = parse_cell(kind, text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("kind", NUMERIC)
@pytest.mark.parametrize("text", ["nan", "NaN", "inf", "-Inf", "+Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_rejected_as_such(kind: FieldType, text: str) -> None:
    """Text for NaN and infinity becomes the float, which validation calls not finite."""
    value = parse_cell(kind, text)
    assert isinstance(value, float)
    assert not math.isfinite(value)
    assert _verdict(kind, value) is RejectionCode.NOT_FINITE


@pytest.mark.parametrize("kind", NUMERIC)
@pytest.mark.parametrize(
    "text",
    [
        " 3", "3 ", "3\n", "1,000", "1_000", "0x10", "\u0663", "\uff13", "3,5", "1e", "e5", ".",
        "-", "--3", "NA", "null", "true", "abc", "1.2.3", "$3", "nan(1)",
    ],
)  # fmt: skip
def test_text_that_is_no_number_stays_text(kind: FieldType, text: str) -> None:
    """Nothing is stripped, grouped or guessed: validation gets the text and says wrong type."""
    assert parse_cell(kind, text) == text
    assert _verdict(kind, parse_cell(kind, text)) is RejectionCode.WRONG_TYPE


def test_a_number_of_absurd_length_is_rejected_and_does_not_fail() -> None:
    """Python's limit on digits is no exception that could escape."""
    assert _verdict(FieldType.LONG, parse_cell(FieldType.LONG, "9" * 5000)) is (
        RejectionCode.NOT_FINITE
    )


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("TRUE", True), ("False", False), ("fALSE", False)]
)
def test_booleans(text: str, value: bool) -> None:
    """Both words, in any case, and the values they name."""
    assert parse_cell(FieldType.BOOLEAN, text) is value


@pytest.mark.parametrize("text", ["1", "0", "yes", "t", "true ", " false"])
def test_text_that_is_no_boolean_stays_text(text: str) -> None:
    """Numbers, other words and spaces are no booleans: validation says wrong type."""
    assert parse_cell(FieldType.BOOLEAN, text) == text
    assert _verdict(FieldType.BOOLEAN, text) is RejectionCode.WRONG_TYPE


@pytest.mark.parametrize("kind", [FieldType.STRING, FieldType.DATETIME])
@pytest.mark.parametrize("text", [" a ", "3", "true", "nan", "2026-03-02T12:00:00Z"])
def test_strings_and_datetimes_stay_as_they_are(kind: FieldType, text: str) -> None:
    """The text of a string is its value; a date-time is read by validation."""
    assert parse_cell(kind, text) == text


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_survives_its_shortest_text(value: float) -> None:
    """Text written by repr comes back with the same bits."""
    assert bits(parse_cell(FieldType.DOUBLE, repr(value))) == bits(value)


@settings(deadline=None)
@given(st.sampled_from(NUMERIC), st.integers() | st.floats())
def test_text_and_json_get_the_same_verdict(kind: FieldType, value: float) -> None:
    """A number in a cell is accepted, with the same bits, or rejected as its JSON form is."""
    schema = Schema.from_signature([{"name": "f", "type": str(kind)}])
    text = json.dumps(value)
    from_json = validate_rows(schema, [{"f": json.loads(text)}], ["1"])
    from_text = validate_columns(schema, {"f": [parse_cell(kind, text)]}, ["1"])
    assert from_text.rejections == from_json.rejections
    assert from_text.batch.columns[0].tobytes() == from_json.batch.columns[0].tobytes()


@settings(deadline=None)
@given(st.sampled_from(FieldType), st.text())
def test_no_text_fails(kind: FieldType, text: str) -> None:
    """Whatever stands in a cell, the answer is a value."""
    value = parse_cell(kind, text)
    assert value is None or isinstance(value, bool | int | float | str)


def _verdict(kind: FieldType, value: object) -> RejectionCode:
    schema = Schema.from_signature([{"name": "f", "type": str(kind)}])
    return validate_columns(schema, {"f": [value]}, ["1"]).rejections[0].code
