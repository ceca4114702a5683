"""The same records in CSV, JSON Lines and Parquet are the same records."""

import csv
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.record_files.chunks import Chunk, Source
from adapters.record_files.csv_reader import read_csv
from adapters.record_files.jsonl_reader import read_jsonl
from adapters.record_files.parquet_reader import read_parquet
from adapters.record_files.reading import Format
from scoring.schema import FieldType, Schema

SCHEMA = Schema.from_signature(
    [
        {"name": f"{kind}{suffix}", "type": str(kind), "required": not suffix}
        for kind in FieldType
        for suffix in ("", " optional")
    ],
    ignored=["comment"],
)
READERS = {"csv": read_csv, "jsonl": read_jsonl, "parquet": read_parquet}

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
TIMES = st.datetimes(datetime(1500, 1, 1), datetime(2500, 1, 1))
FLOATS = st.floats(width=64) | st.integers(-5, 5).map(float)
INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5)

COLUMNS: Mapping[FieldType, list[tuple[pa.DataType, st.SearchStrategy[Any]]]] = {
    FieldType.BOOLEAN: [(pa.bool_(), st.booleans()), (pa.int64(), INTEGERS)],
    FieldType.INTEGER: [
        (pa.int64(), INTEGERS),
        (pa.float64(), FLOATS),
        (pa.bool_(), st.booleans()),
    ],
    FieldType.LONG: [(pa.int64(), INTEGERS), (pa.float64(), FLOATS)],
    FieldType.FLOAT: [(pa.float64(), FLOATS), (pa.int64(), INTEGERS)],
    FieldType.DOUBLE: [(pa.float64(), FLOATS), (pa.int64(), INTEGERS)],
    FieldType.STRING: [(pa.string(), TEXTS)],
    FieldType.DATETIME: [
        (pa.timestamp("us"), TIMES),
        (pa.timestamp("us", "UTC"), TIMES.map(lambda t: t.replace(tzinfo=UTC))),
    ],
}
"""How a feature's values may be stored in Parquet, right or wrong."""


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """A few records, good and bad, as typed columns; sometimes without one of the features."""
    count = draw(st.integers(0, 6))
    columns = {"id": pa.array(draw(_column(count, TEXTS)), pa.string())}
    for feature in SCHEMA.features:
        kind, values = draw(st.sampled_from(COLUMNS[feature.type]))
        columns[feature.name] = pa.array(draw(_column(count, values)), kind)
    if draw(st.booleans()):
        columns["comment"] = pa.array(draw(_column(count, TEXTS)), pa.string())
    if draw(st.integers(0, 5)) == 0:
        columns["unknown"] = pa.array(draw(_column(count, TEXTS)), pa.string())
    if draw(st.integers(0, 5)) == 0:
        del columns[draw(st.sampled_from(SCHEMA.names))]
    return pa.table(columns)


def _column(count: int, values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    one = st.one_of(values, values, values, st.none())
    return st.lists(one, min_size=count, max_size=count)


def as_parquet(table: pa.Table) -> bytes:
    """The table in row groups of two."""
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=2)
    return sink.getvalue()


def as_jsonl(table: pa.Table) -> bytes:
    """One object a line; NaN and Infinity as Python writes them."""
    lines = [json.dumps(row, default=datetime.isoformat) for row in table.to_pylist()]
    return "".join(f"{line}\n" for line in lines).encode()


def as_csv(table: pa.Table) -> bytes:
    """Quoted where it must be; null is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(table.column_names)
    for row in table.to_pylist():
        writer.writerow([_cell(value) for value in row.values()])
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime) else str(value)


def read(kind: Format, data: bytes, limit: int = 100, schema: Schema = SCHEMA) -> list[Chunk]:
    """All chunks of a file in memory, with the id column `id`."""
    source = Source("memory://f", len(data))
    return list(READERS[kind](io.BytesIO(data), source, schema, "id", limit))


def verdict(chunks: list[Chunk], schema: Schema = SCHEMA) -> tuple[Any, ...]:
    """Everything that counts about what was read: ids, rows, bits and rejections."""
    kept, rejections = [], []
    columns: list[list[Any]] = [[] for _ in schema.features]
    for chunk in chunks:
        valid = chunk.validate(schema)
        kept += [
            (chunk.rows[p], i) for p, i in zip(valid.positions, valid.batch.record_ids, strict=True)
        ]
        rejections += chunk.located(valid.rejections)
        for gathered, column in zip(columns, valid.batch.columns, strict=True):
            gathered += [_bits(value) for value in column]
    return kept, columns, rejections


def _bits(value: Any) -> Any:
    return (value.dtype.str, value.tobytes()) if isinstance(value, np.generic) else value


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tables(), st.sampled_from(["csv", "jsonl"]), st.integers(1, 7))
def test_formats_agree(table: pa.Table, kind: Format, limit: int) -> None:
    """Good records have the same bits and bad ones the same rejections, in chunks of any size."""
    expected = verdict(read("parquet", as_parquet(table)))
    data = as_csv(table) if kind == "csv" else as_jsonl(table)
    assert verdict(read(kind, data, limit)) == expected
    assert verdict(read("parquet", as_parquet(table), limit)) == expected


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_chunks_are_bounded_and_complete(kind: Format) -> None:
    """No chunk holds more than the limit, all rows are there in order, and the share reaches 1."""
    table = pa.table({"id": [str(i) for i in range(10)], "double": [float(i) for i in range(10)]})
    data = {"csv": as_csv, "jsonl": as_jsonl, "parquet": as_parquet}[kind](table)
    chunks = read(kind, data, limit=3)
    assert all(len(chunk) <= 3 for chunk in chunks)
    assert [row for chunk in chunks for row in chunk.rows] == list(range(1, 11))
    assert chunks[-1].share == 1.0
    assert sorted(chunk.share for chunk in chunks) == [chunk.share for chunk in chunks]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_the_id_stays_in_the_record_when_the_model_takes_it(kind: Format) -> None:
    """A feature named as the id column gets its value too."""
    schema = Schema.from_signature([{"name": "id", "type": "long"}])
    table = pa.table({"id": pa.array([7, 8], pa.int64())})
    data = {"csv": as_csv, "jsonl": as_jsonl, "parquet": as_parquet}[kind](table)
    valid = read(kind, data, schema=schema)[0].validate(schema)
    assert valid.batch.record_ids == ("7", "8")
    assert valid.batch.columns[0].tolist() == [7, 8]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_an_ignored_column_can_be_the_id(kind: Format) -> None:
    """The id column is the id although the schema says that its field is not used."""
    schema = Schema.from_signature([{"name": "x", "type": "long"}], ignored=["id"])
    table = pa.table({"id": ["a"], "x": pa.array([1], pa.int64())})
    data = {"csv": as_csv, "jsonl": as_jsonl, "parquet": as_parquet}[kind](table)
    valid = read(kind, data, schema=schema)[0].validate(schema)
    assert valid.batch.record_ids == ("a",)
    assert valid.rejections == ()


def test_times_of_every_zone_are_the_same_instant() -> None:
    """An offset in text and a zone in Parquet name the same instant."""
    schema = Schema.from_signature([{"name": "t", "type": "datetime"}])
    instant = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)
    zoned = pa.table({"id": ["a"], "t": pa.array([instant], pa.timestamp("us", "Asia/Tokyo"))})
    nanos = pa.table({"id": ["a"], "t": pa.array([instant], pa.timestamp("ns"))})
    text = b'{"id": "a", "t": "2026-03-02T13:00:00.123456+01:00"}'
    expected = verdict(read("jsonl", text, schema=schema), schema)
    assert verdict(read("parquet", as_parquet(zoned), schema=schema), schema) == expected
    assert verdict(read("parquet", as_parquet(nanos), schema=schema), schema) == expected
