"""The same record in every form that lanes read: one verdict, one rejection, the same bits.

Forms are the body of a request, JSON Lines, CSV, Parquet, codes, and CloudEvents in both modes.
What a form cannot carry is left out of it here, with the reason, and listed in docs/signatures.md.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.event_hub.messages import Received
from adapters.record_files.chunks import Chunk, Source
from adapters.record_files.csv_reader import read_csv
from adapters.record_files.jsonl_reader import read_jsonl
from adapters.record_files.parquet_reader import read_parquet
from online_api.context import Limits
from online_api.problems import ProblemError
from online_api.protocols.predict_body import PredictBody
from scoring.records import Validated, Violation
from scoring.schema import FieldType, Schema
from scoring.text import parse_cell
from scoring.typed_rows import made_ids, typed_rows
from scoring.validation import validate_columns, validate_rows
from scoring.values import Coded
from stream_worker.cloudevents import Event, EventDecoder
from stream_worker.validating import validated
from tests.support.broker import event, received

Record = Mapping[str, Any]
Verdict = tuple[Any, ...]

BINARY = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"e1"),
    ("ce_source", b"urn:test"),
    ("ce_type", b"hr.employee.updated"),
    ("ce_subject", b"r"),
)
BOUNDS = (2**31, -(2**31), 2**53, 2**63, -(2**63), 2**64)
EDGES = (
    *(bound + step for bound in BOUNDS for step in (-1, 0, 1)),
    *(10**30, 3.0, -0.0, 5e-324, 1e-45, 3.4028235e38, 3.4028236e38, 1.7976931348623157e308),
    *(float("inf"), float("-inf"), float("nan")),
)
ZONES = st.sampled_from([None, UTC, timezone(timedelta(hours=-11, minutes=-30))])
TIMES = st.builds(
    lambda time, zone: time.replace(tzinfo=zone).isoformat(),
    st.datetimes(datetime(1600, 1, 1), datetime(2300, 1, 1)) | st.datetimes(),
    ZONES,
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(
    ["3", "nan", "true", "1_000", " 3", "2026-03-02", "2026-03-02T10:00:00Z"]
)
VALID: Mapping[FieldType, st.SearchStrategy[Any]] = {
    FieldType.BOOLEAN: st.booleans(),
    FieldType.INTEGER: st.integers(-(2**31), 2**31 - 1),
    FieldType.LONG: st.integers(-(2**63), 2**63 - 1),
    FieldType.FLOAT: st.floats(width=32),
    FieldType.DOUBLE: st.floats(),
    FieldType.STRING: TEXTS,
    FieldType.DATETIME: TIMES,
}
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.sampled_from(EDGES), st.floats(), TEXTS, TIMES,
    st.just([1]), st.just({"a": 1}),
)  # fmt: skip
IDS = st.none() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=4) | st.booleans()
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=4)


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """A few features of any type, required or not."""
    names = draw(st.lists(NAMES.filter(lambda n: n != "id"), min_size=1, max_size=6, unique=True))
    return Schema.from_signature(
        [
            {"name": name, "type": str(draw(st.sampled_from(FieldType))), "required": required}
            for name in names
            for required in [draw(st.booleans())]
        ]
    )


@st.composite
def records(draw: st.DrawFn, schema: Schema) -> dict[str, Any]:
    """Mostly valid values, some that are not, some absent, sometimes an unknown field."""
    record: dict[str, Any] = {}
    for feature in schema.features:
        if draw(st.integers(0, 9)):
            good = VALID[feature.type]
            record[feature.name] = draw(st.one_of(good, good, good, ANYTHING))
    if not draw(st.integers(0, 9)):
        record[draw(NAMES.filter(lambda n: n != "id"))] = draw(ANYTHING)
    return record


def verdict(valid: Validated) -> Verdict:
    """Everything that counts about one validated record: its bits or its rejection."""
    if valid.rejections:
        return tuple((v.field, v.code, v.rule) for v in valid.rejections[0].violations)
    return tuple(
        (str(column.dtype), column.tolist() if column.dtype == object else column.tobytes())
        for column in valid.batch.columns
    )


def from_body(schema: Schema, record: Record) -> Verdict:
    """The body of `POST /predict`."""
    body = json.dumps([record]).encode()
    return verdict(PredictBody(schema, Limits()).read(body, "r").valid)


def from_jsonl(schema: Schema, record: Record) -> Verdict:
    """A file of one line."""
    data = json.dumps({"id": "r", **record}).encode()
    return from_file(schema, next(read_jsonl(io.BytesIO(data), Source("f"), schema, "id", 9)))


def from_structured(schema: Schema, record: Record) -> Verdict:
    """A structured CloudEvent."""
    return from_event(schema, received(event("e1", record, "r")))


def from_binary(schema: Schema, record: Record) -> Verdict:
    """A CloudEvent in binary mode."""
    return from_event(schema, received(json.dumps(record).encode(), headers=BINARY))


def from_event(schema: Schema, message: Received) -> Verdict:
    """What the stream worker makes of it."""
    typed = typed_rows(schema, None)
    decoder = EventDecoder(10**6, None if typed is None else typed.row)
    decoded = decoder.decode(message)
    assert isinstance(decoded, Event)
    return verdict(validated(schema, typed, decoder, [decoded], [message]))


def from_csv(schema: Schema, record: Record) -> Verdict:
    """A header and one row."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["id", *record])
    writer.writerow(["r", *map(cell, record.values())])
    data = text.getvalue().encode()
    return from_file(schema, next(read_csv(io.BytesIO(data), Source("f"), schema, "id", 9)))


def cell(value: Any) -> str:
    """Text as it is, null as nothing, the rest as JSON spells it."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def from_parquet(schema: Schema, record: Record) -> Verdict:
    """One row; each column of the type of its value."""
    columns = {name: arrow(value) for name, value in record.items()}
    return from_table(schema, pa.table({"id": ["r"], **columns}))


def arrow(value: Any) -> pa.Array:
    """A column of one value: integers beyond 64 bits as a decimal."""
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return pa.array([Decimal(value)], pa.decimal128(38, 0))
    if isinstance(value, int) and value >= 2**63:
        return pa.array([value], pa.uint64())
    return pa.array([value])


def from_timestamps(schema: Schema, record: Record) -> Verdict:
    """Parquet whose date-times are timestamps."""
    kinds = {f.name: f.type for f in schema.features}
    columns = {name: arrow(value) for name, value in record.items()}
    for name, value in record.items():
        time = instant(value) if kinds.get(name) is FieldType.DATETIME else None
        if time is not None:
            columns[name] = pa.array([time], pa.timestamp("us", "UTC" if time.tzinfo else None))
    return from_table(schema, pa.table({"id": ["r"], **columns}))


def instant(value: Any) -> datetime | None:
    """The date-time that a text spells, if Arrow can hold it."""
    try:
        time = datetime.fromisoformat(value)
        return time.astimezone(UTC) if time.tzinfo else time
    except (TypeError, ValueError, OverflowError):
        return None


def from_table(schema: Schema, table: pa.Table) -> Verdict:
    """A Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink)
    sink.seek(0)
    return from_file(schema, next(read_parquet(sink, Source("f"), schema, "id", 9)))


def from_codes(schema: Schema, record: Record) -> Verdict:
    """Columns of codes, as a reader makes them of a dictionary; one value stands there unused."""
    code = np.zeros(1, dtype=np.int32)
    columns = {name: Coded([value, b""], code) for name, value in record.items()}
    return verdict(validate_columns(schema, columns, ["r"]))


def from_file(schema: Schema, chunk: Chunk) -> Verdict:
    """The one record of a file."""
    assert chunk.record_ids == ["r"]
    return verdict(chunk.validate(schema))


def csv_carries(schema: Schema, record: Record) -> bool:
    """Whether text without types says the same as these values."""
    kinds = {f.name: f.type for f in schema.features}
    return all(cell_carries(kinds[name], v) for name, v in record.items() if name in kinds)


def cell_carries(kind: FieldType, value: Any) -> bool:
    """A text has to stay text, and whatever is no text must not become one that is accepted."""
    if value is None:
        return True
    if isinstance(value, str):
        return value != "" and parse_cell(kind, value) == value
    if kind in (FieldType.STRING, FieldType.DATETIME):
        return False
    # Outside numbers' columns, `NaN` is text; elsewhere a NaN is a null where nulls are allowed.
    return kind is not FieldType.BOOLEAN or value == value


CARRIES: Mapping[Callable[[Schema, Record], Verdict], Callable[[Schema, Record], bool]] = {
    from_jsonl: lambda _schema, _record: True,
    from_structured: lambda _schema, _record: True,
    from_binary: lambda _schema, _record: True,
    from_csv: csv_carries,
    from_parquet: lambda _schema, _record: True,
    from_timestamps: lambda _schema, _record: True,
    from_codes: lambda _schema, _record: True,
}


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_form_of_a_record_gets_the_same_verdict_and_bits(data: st.DataObject) -> None:
    """Accepted with the same bits everywhere, or rejected with the same codes and words."""
    schema = data.draw(schemas())
    record = data.draw(records(schema))
    expected = from_body(schema, record)
    for form, carries in CARRIES.items():
        if carries(schema, record):
            assert form(schema, record) == expected, form.__name__


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_record_is_the_same_alone_and_among_others(data: st.DataObject) -> None:
    """Neither the dtype of a column nor a record's bits and rejection depend on its neighbours."""
    schema = data.draw(schemas())
    rows = data.draw(st.lists(records(schema), min_size=1, max_size=6))
    whole = validate_rows(schema, rows, [str(i) for i in range(len(rows))])
    assert [c.dtype for c in whole.batch.columns] == [f.dtype for f in schema.features]
    found = {
        r.position: verdict(Validated(whole.batch, whole.positions, (r,))) for r in whole.rejections
    }
    for place, position in enumerate(whole.positions.tolist()):
        one = whole.batch.slice(place, place + 1)
        found[position] = verdict(Validated(one, np.arange(1), ()))
    for position, row in enumerate(rows):
        assert found[position] == verdict(validate_rows(schema, [row], ["r"]))


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_body_of_several_records_is_read_as_its_records_are(data: st.DataObject) -> None:
    """The fast way into columns gives what validation gives, ids and neighbours included."""
    schema = data.draw(schemas())
    rows = data.draw(st.lists(records(schema), min_size=1, max_size=6))
    given_ids = data.draw(st.lists(IDS, min_size=len(rows), max_size=len(rows)))
    sent = [r if i is None else {**r, "record_id": i} for r, i in zip(rows, given_ids, strict=True)]
    ids = [
        i if i is not None else m for i, m in zip(given_ids, made_ids("m", len(rows)), strict=True)
    ]
    expected = validate_rows(schema, rows, ids)
    read = PredictBody(schema, Limits()).read(json.dumps(sent).encode(), "m").valid
    assert read.rejections == expected.rejections
    assert read.batch.record_ids == expected.batch.record_ids
    assert read.positions.tolist() == expected.positions.tolist()
    for position in range(len(read.batch)):
        ours, theirs = (
            Validated(v.batch.slice(position, position + 1), np.arange(1), ())
            for v in (read, expected)
        )
        assert verdict(ours) == verdict(theirs)


TIMES_AT_THE_EDGE = (
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1677-12-31T23:59:59.999999"),
    *("1678-01-01T00:00:00", "2261-12-31T23:59:59.999999Z", "2262-01-01", "1969-12-31T23:59:59.1Z"),
)


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("kind", FieldType)
def test_values_at_the_edge_of_a_type(kind: FieldType, required: bool) -> None:
    """In every form, and beside a record that makes validation look at each value by itself."""
    schema = Schema.from_signature([{"name": "a", "type": str(kind), "required": required}])
    for value in (*EDGES, *TIMES_AT_THE_EDGE, None, True, ""):
        record = {"a": value}
        expected = from_body(schema, record)
        for form, carries in CARRIES.items():
            if carries(schema, record):
                assert form(schema, record) == expected, (form.__name__, value)
        beside = validate_rows(schema, [record, {"a": []}], ["r", "s"])
        assert len(beside.rejections) + len(beside.batch) == 2
        first = Validated(beside.batch, beside.positions, beside.rejections[:-1])
        assert verdict(first) == expected, value


@pytest.mark.parametrize("kind", FieldType)
def test_half_a_surrogate_pair_is_malformed_in_every_json_form(kind: FieldType) -> None:
    """It is no text, so the record cannot be read; CSV and Parquet cannot carry it."""
    schema = Schema.from_signature([{"name": "a", "type": str(kind)}])
    record = {"a": "\ud800"}
    line = json.dumps({"id": "r", **record}).encode()
    chunk = next(read_jsonl(io.BytesIO(line), Source("f"), schema, "id", 9))
    decode = EventDecoder(10**6).decode
    structured = decode(received(event("e1", record)))
    binary = decode(received(json.dumps(record).encode(), headers=BINARY))
    assert [str(violation.code) for _, violation in chunk.unreadable] == ["malformed"]
    assert isinstance(structured, Violation)
    assert isinstance(binary, Violation)
    assert (structured.code, binary.code) == ("malformed", "malformed")
    with pytest.raises(ProblemError):
        PredictBody(schema, Limits()).read(json.dumps([record]).encode(), "r")
