"""Parquet columns under other names, and columns whose values the file's place gives."""

import io
import logging
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.record_files.chunks import PLAIN, Chunk, ReadOptions, Source
from adapters.record_files.parquet_footer import (
    Footer,
    MatchedColumns,
    match_columns,
    read_footer,
)
from adapters.record_files.parquet_reader import read_parquet
from scoring.errors import InputError
from scoring.schema import FieldType, Schema
from scoring.values import Coded

SCHEMA = Schema.from_signature(
    [
        {"name": "a", "type": "long"},
        {"name": "b", "type": "double", "required": False},
        {"name": "c", "type": "string"},
    ],
    ignored=["note"],
)
SOURCE = Source("memory://f.parquet")


def parquet(**columns: Any) -> io.BytesIO:
    """A file with these columns, in row groups of two."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, row_group_size=2)
    sink.seek(0)
    return sink


def read(file: io.BytesIO, options: ReadOptions, id_column: str = "id") -> Chunk:
    """The one chunk of a file."""
    (chunk,) = read_parquet(file, SOURCE, SCHEMA, id_column, 100, options)
    return chunk


def test_columns_go_by_their_new_names() -> None:
    """Ids, features and everything else; names may be exchanged, and others need not exist."""
    file = parquet(key=["r1", "r2"], b=[1, 2], a=[0.5, None], text=["x", "y"], c=["-", "-"])
    names = {"key": "id", "a": "b", "b": "a", "text": "c", "c": "note", "gone": "elsewhere"}
    valid = read(file, ReadOptions(names)).validate(SCHEMA)
    assert valid.rejections == ()
    assert valid.batch.record_ids == ("r1", "r2")
    assert [c.tolist() for c in valid.batch.columns[::2]] == [[1, 2], ["x", "y"]]
    assert valid.batch.columns[1].tolist()[0] == 0.5


def test_a_feature_under_another_name_is_an_unknown_field() -> None:
    """And so is every record rejected that lacks it by now."""
    file = parquet(id=["r"], a=[1], b=[0.5], c=["x"])
    (rejection,) = read(file, ReadOptions({"a": "z"})).validate(SCHEMA).rejections
    assert [(v.field, v.code) for v in rejection.violations] == [
        ("z", "unknown_field"),
        ("a", "missing_field"),
    ]


def test_a_name_given_to_two_columns_is_an_input_error() -> None:
    """Whether by renaming one or both; the error names file and column."""
    for names in ({"c": "a"}, {"c": "z", "b": "z"}):
        file = parquet(id=["r"], a=[1], b=[0.5], c=["x"])
        with pytest.raises(InputError, match=r"f\.parquet has the column '[az]' more than once"):
            read(file, ReadOptions(names))


def test_a_constant_is_a_column_of_every_record() -> None:
    """Read as a cell of text is; None is a null, and a constant that no feature has is nothing."""
    constants = {"a": "7", "b": None, "c": "north", "day": "2026-03-02"}
    chunk = read(parquet(id=["r1", "r2", "r3"]), ReadOptions(constants=constants))
    assert isinstance(chunk.records, dict)
    assert all(isinstance(values, Coded) for values in chunk.records.values())
    valid = chunk.validate(SCHEMA)
    assert valid.rejections == ()
    a, b, c = valid.batch.columns
    assert (a.tolist(), c.tolist()) == ([7] * 3, ["north"] * 3)
    assert [value != value for value in b.tolist()] == [True] * 3


def test_a_constant_that_does_not_fit_rejects_every_record() -> None:
    """As the same cell in a CSV file would."""
    options = ReadOptions(constants={"a": "seven", "c": "north"})
    rejections = read(parquet(id=["r1", "r2"]), options).validate(SCHEMA).rejections
    assert [(r.record_id, r.detail) for r in rejections] == [
        ("r1", "a: must be an integer"),
        ("r2", "a: must be an integer"),
    ]


def test_a_column_of_the_file_goes_before_a_constant() -> None:
    """Also when it has the name by renaming."""
    constants = {"a": "7", "c": "north"}
    file = parquet(id=["r"], key=[1])
    valid = read(file, ReadOptions({"key": "a"}, constants)).validate(SCHEMA)
    assert [valid.batch.columns[0].tolist(), valid.batch.columns[2].tolist()] == [[1], ["north"]]


def test_the_id_can_be_a_feature_by_another_name() -> None:
    """The model gets its value, and the record its id."""
    chunk = read(parquet(key=[7, 8], c=["x", "y"]), ReadOptions({"key": "a"}), id_column="a")
    valid = chunk.validate(SCHEMA)
    assert valid.batch.record_ids == ("7", "8")
    assert valid.batch.columns[0].tolist() == [7, 8]


def test_a_footer_tells_row_groups_columns_and_writer() -> None:
    """Without any data being read: what stands before the footer may be damaged."""
    data = parquet(id=["a", "b", "c"], a=[1, 2, 3]).getvalue()
    damaged = data[:4] + bytes(100) + data[104:]
    footer = read_footer(io.BytesIO(damaged), SOURCE)
    assert isinstance(footer, Footer)
    assert footer.rows_per_group == (2, 1)
    assert footer.rows == 3
    assert footer.columns.names == ["id", "a"]
    assert footer.created_by.startswith("parquet-cpp")
    assert read_footer(io.BytesIO(damaged), SOURCE).rows_per_group == (2, 1)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"id,a\n1,2\n"])
def test_what_has_no_footer_is_damaged_or_cut(data: bytes) -> None:
    """The error names the file."""
    with pytest.raises(InputError, match=r"f\.parquet cannot be read as Parquet: it is damaged"):
        read_footer(io.BytesIO(data), SOURCE)


def test_columns_are_compared_with_the_model_before_a_row_is_read() -> None:
    """What every record would be rejected for is known from the names and types."""
    columns = pa.schema({"key": pa.string(), "b": pa.binary(), "more": pa.int8()})
    options = ReadOptions({"key": "id"}, {"c": "north"})
    matched = match_columns(columns, SOURCE, SCHEMA, "id", options)
    reason = "column 'b' has the type binary, and the model takes double"
    assert matched == MatchedColumns({"id": "key", "b": "b"}, ("more",), ("a",), (reason,))
    with pytest.raises(InputError, match="no column 'id'"):
        match_columns(columns, SOURCE, SCHEMA, "id", PLAIN)


def test_a_misfit_is_warned_of_once_for_a_file(caplog: pytest.LogCaptureFixture) -> None:
    """Not again by whoever reads a later piece of it."""
    schema = Schema.from_signature([{"name": "a", "type": str(FieldType.STRING)}])
    file = parquet(id=["r1", "r2", "r3"], a=[1, 2, 3])
    with caplog.at_level(logging.WARNING):
        for groups in ((0, 1), (1, 2)):
            list(read_parquet(file, SOURCE, schema, "id", 100, groups=groups))
    assert len(caplog.messages) == 1
