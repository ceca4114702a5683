"""Part files as CSV, read back by two readers."""

import csv
import io
import json
import struct
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch_scorer.delivery.parts import PartEncoder
from scoring.model import ModelBundle
from scoring.records import ScoredBatch
from tests.support.batch_parts import EVERY_TYPE, many, rejection, scored_batch, with_outputs
from tests.support.toy import load_toy

TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from('",;\r\n '), max_size=9)
DOUBLE = st.floats(allow_nan=False, allow_infinity=False)
HEADER = ["record_id", "value", "count", "sure", "class", "outlier", "outlier_score", "file", "row"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """A model with an output of every type."""
    toy = load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)
    return with_outputs(toy, EVERY_TYPE)


def rows_of(part: bytes) -> list[list[str]]:
    """The cells of a part, by Python's reader."""
    return list(csv.reader(io.StringIO(part.decode(), newline="")))


def bits(value: float) -> bytes:
    """Of a double; those of 0 and -0 differ."""
    return struct.pack("<d", value)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            TEXT, DOUBLE, st.integers(-(2**63), 2**63 - 1), st.booleans(), TEXT, st.floats(0, 1)
        ),
        min_size=1,
        max_size=6,
    ),
    TEXT,
)
def test_what_is_read_is_what_was_written(
    model: ModelBundle, rows: list[tuple[Any, ...]], file: str
) -> None:
    """Every text as it stands, every double to its last bit, with any reader of RFC 4180."""
    ids, *outputs, anomaly = map(list, zip(*rows, strict=True))
    names = [c.name for c in model.output_columns]
    batch = scored_batch(model, dict(zip(names, outputs, strict=True)), ids, anomaly)
    part = PartEncoder(model, "csv", False).scores(file, range(1, len(rows) + 1), batch)
    header, *cells = rows_of(part)
    assert header == HEADER
    for number, (found, row) in enumerate(zip(cells, rows, strict=True), 1):
        record_id, value, count, sure, label, score = row
        assert [found[0], found[4], found[7]] == [record_id, label, file]
        assert bits(float(found[1])) == bits(value)
        assert bits(float(found[6])) == bits(score)
        assert [int(found[2]), int(found[8])] == [count, number]
        assert [found[3], found[5]] == [str(sure).lower(), str(score > 0.95).lower()]
    schema = PartEncoder(model, "parquet", False).schema("scores")
    options = pc.ConvertOptions(
        column_types=schema, strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    table = pc.read_csv(io.BytesIO(part), None, pc.ParseOptions(newlines_in_values=True), options)
    assert table["record_id"].to_pylist() == ids
    assert [bits(v) for v in table["value"].to_pylist()] == [bits(v) for v in outputs[0]]


def test_lines_end_as_rfc_4180_says(model: ModelBundle) -> None:
    """In CR LF, the last one too, while the line ends within a cell stay what they are."""
    outputs: dict[str, list[Any]] = {
        "value": [0.5],
        "count": [1],
        "sure": [True],
        "class": ['a\n"b"\r\nc'],
    }
    encoder = PartEncoder(model, "csv", False)
    part = encoder.scores("a.csv", range(1, 2), scored_batch(model, outputs, ["é"]))
    assert part.decode() == (
        ",".join(f'"{name}"' for name in HEADER)
        + '\r\n"é",0.5,1,true,"a\n""b""\r\nc",,,"a.csv",1\r\n'
    )
    plain = encoder.scores("a.csv", range(1, 2), scored_batch(model, {**outputs, "class": ["a"]}))
    assert plain.splitlines(keepends=True)[1] == b'"1",0.5,1,true,"a",,,"a.csv",1\r\n'


def test_a_null_is_empty_and_an_empty_text_is_quoted(model: ModelBundle) -> None:
    """So that the id of a row that could not be read differs from any text."""
    part = PartEncoder(model, "csv", False).rejected("", [rejection(3, rule='not "that"')])
    assert part == (
        b'"record_id","file","row","code","detail"\r\n,"",3,"missing_field","x: not ""that"""\r\n'
    )


def test_reasons_are_json(model: ModelBundle) -> None:
    """As the online API gives them, to the last bit."""
    batch = many(model, 20)
    header, *cells = rows_of(PartEncoder(model, "csv", True).scores("a", range(1, 21), batch))
    assert header == [*HEADER[:-2], "reasons", *HEADER[-2:]]
    assert [json.loads(row[7]) for row in cells] == [p["reasons"] for p in batch.predictions()]


@pytest.mark.parametrize("with_reasons", [False, True])
def test_a_part_without_rows_is_a_header(model: ModelBundle, with_reasons: bool) -> None:
    """The one of the other parts."""
    encoder = PartEncoder(model, "csv", with_reasons)
    batch = many(model, 3)
    some = encoder.scores("a.csv", range(1, 4), batch if with_reasons else bare(model))
    assert encoder.empty("scores") == some.splitlines(keepends=True)[0]
    assert encoder.empty("rejected") == b'"record_id","file","row","code","detail"\r\n'


def bare(model: ModelBundle) -> ScoredBatch:
    """Three records without reasons and outliers."""
    outputs: dict[str, list[Any]] = {"value": [0.5], "count": [1], "sure": [True], "class": ["a"]}
    return scored_batch(model, {name: values * 3 for name, values in outputs.items()})


def test_arrow_finds_the_types(model: ModelBundle) -> None:
    """Without being told them."""
    part = PartEncoder(model, "csv", False).scores("a.csv", range(1, 4), bare(model))
    schema = pc.read_csv(io.BytesIO(part)).schema
    types = {"value": pa.float64(), "count": pa.int64(), "sure": pa.bool_(), "row": pa.int64()}
    assert {name: schema.field(name).type for name in types} == types
