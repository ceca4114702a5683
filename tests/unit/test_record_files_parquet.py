"""Arrow columns as validation takes them, and Parquet files that cannot be read."""

import io
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.record_files.arrow_values import as_list, column_values
from adapters.record_files.chunks import Chunk, Source
from adapters.record_files.parquet_reader import read_parquet
from scoring.errors import InputError, StorageUnavailable
from scoring.schema import FieldType, Schema
from scoring.validation import validate_columns

NOON = datetime(2026, 3, 2, 12, 0, 0, 123456)


def codes(kind: FieldType, column: pa.Array) -> list[str]:
    """The rejection codes of a required feature's values, in order."""
    schema = Schema.from_signature([{"name": "f", "type": str(kind)}])
    ids = [str(i) for i in range(len(column))]
    valid = validate_columns(schema, {"f": column_values(column)}, ids)
    return [str(r.code) for r in valid.rejections]


@pytest.mark.parametrize(
    ("kind", "column", "expected"),
    [
        (FieldType.LONG, pa.array([1, 2], pa.int8()), [1, 2]),
        (FieldType.LONG, pa.array([1, 2], pa.uint64()), [1, 2]),
        (FieldType.LONG, pa.array([1, 2]).dictionary_encode(), [1, 2]),
        (FieldType.LONG, pa.array([Decimal("3.00"), Decimal(4)], pa.decimal128(5, 2)), [3, 4]),
        (FieldType.LONG, pa.array([Decimal(2**53 + 1)], pa.decimal128(20, 0)), [2**53 + 1]),
        (FieldType.INTEGER, pa.array([3.0, -4.0]), [3, -4]),
        (FieldType.DOUBLE, pa.array([0.5, 2.0], pa.float32()), [0.5, 2.0]),
        (FieldType.DOUBLE, pa.array(np.array([0.5], np.float16)), [0.5]),
        (FieldType.DOUBLE, pa.array([Decimal("0.10")], pa.decimal128(5, 2)), [0.1]),
        (FieldType.DOUBLE, pa.array([Decimal("9" * 70)], pa.decimal256(76, 0)), [float("9" * 70)]),
        (FieldType.DOUBLE, pa.array([1, 2]), [1.0, 2.0]),
        (FieldType.BOOLEAN, pa.array([True, False]), [True, False]),
        (FieldType.STRING, pa.array(["a", "é"], pa.large_string()), ["a", "é"]),
        (FieldType.STRING, pa.array(["a", "é"], pa.string_view()), ["a", "é"]),
        (FieldType.STRING, pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
    ],
)
def test_values_of_every_arrow_type(kind: FieldType, column: pa.Array, expected: list[Any]) -> None:
    """Widths, encodings and decimals do not matter, only the values do."""
    schema = Schema.from_signature([{"name": "f", "type": str(kind)}])
    valid = validate_columns(
        schema, {"f": column_values(column)}, [str(i) for i in range(len(column))]
    )
    assert valid.rejections == ()
    assert valid.batch.columns[0].tolist() == expected
    assert valid.batch.columns[0].dtype == schema.features[0].dtype


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.timestamp("s"), NOON.replace(microsecond=0)),
        (pa.timestamp("ms"), NOON.replace(microsecond=123000)),
        (pa.timestamp("us"), NOON),
        (pa.timestamp("ns"), NOON),
        (pa.timestamp("us", "America/New_York"), NOON),
        (pa.date32(), datetime(2026, 3, 2)),
        (pa.date64(), datetime(2026, 3, 2)),
    ],
)
def test_times_of_every_unit(kind: pa.DataType, value: datetime) -> None:
    """Dates are their midnight, zoned timestamps their instant in UTC, and null is None."""
    assert as_list(column_values(pa.array([value, None], kind))) == [value, None]


def test_nanoseconds_are_cut_to_microseconds() -> None:
    """As in text, where Python reads no more than six digits, also before 1970."""
    column = pa.array([1_999, -1], pa.timestamp("ns"))
    assert as_list(column_values(column)) == [
        datetime(1970, 1, 1, 0, 0, 0, 1),
        datetime(1969, 12, 31, 23, 59, 59, 999999),
    ]


@pytest.mark.parametrize("kind", FieldType)
@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1], None], pa.list_(pa.int64())),
        pa.array([{"a": 1}, None], pa.struct([("a", pa.int64())])),
        pa.array([b"\xff", None], pa.binary()),
        pa.array([time(1), None], pa.time64("ns")),
        pa.array([timedelta(1), None], pa.duration("ns")),
    ],
    ids=lambda column: str(column.type),
)
def test_types_no_feature_holds(kind: FieldType, column: pa.Array) -> None:
    """Their values are of the wrong type, one by one, and null stays null."""
    assert codes(kind, column) == ["wrong_type", "null_value"]


def test_a_column_of_nulls_is_null() -> None:
    """A column without a type holds nothing but nulls."""
    assert codes(FieldType.DOUBLE, pa.nulls(2)) == ["null_value", "null_value"]


def test_text_that_is_not_utf8_is_rejected_alone() -> None:
    """One bad value does not take its chunk with it."""
    raw = pa.array([b"good", b"\xff", None, b"\xed\xa0\x80", b"good"])
    column = pa.Array.from_buffers(pa.string(), 5, raw.buffers())
    assert codes(FieldType.STRING, column) == ["wrong_type", "null_value", "wrong_type"]


def test_times_beyond_python_are_rejected_alone() -> None:
    """A timestamp after the year 9999 does not take its chunk with it."""
    column = pa.array([0, 2**60], pa.timestamp("us"))
    assert codes(FieldType.DATETIME, column) == ["wrong_type"]
    assert as_list(column_values(pa.array([date(2026, 3, 2)]))) == [datetime(2026, 3, 2)]


SCHEMA = Schema.from_signature([{"name": "x", "type": "double"}])


def read(data: bytes, schema: Schema = SCHEMA) -> list[Chunk]:
    """All chunks of a file."""
    source = Source("memory://in.parquet", len(data))
    return list(read_parquet(io.BytesIO(data), source, schema, "id", 100))


def parquet(table: pa.Table) -> bytes:
    """The bytes of a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=100)
    return sink.getvalue()


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"PAR1",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: b"\x00" * 200 + data[200:],
        lambda data: data.replace(b"PAR1", b"PAR2"),
        lambda _: b"id,x\n1,2\n",
    ],
)
def test_a_damaged_file_is_an_input_error_that_names_it(damage: Any) -> None:
    """Whatever was cut or overwritten, the error is terminal and names the file."""
    table = pa.table({"id": [str(i) for i in range(1000)], "x": np.arange(1000.0)})
    with pytest.raises(InputError, match=r"in\.parquet"):
        read(damage(parquet(table)))


def test_storage_that_fails_on_the_way_is_no_damaged_file() -> None:
    """An error of the storage in the middle of a file stays what it is: to be tried again."""

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() < 1000:
                raise StorageUnavailable("gone")
            return super().read(size)

    data = parquet(pa.table({"id": [str(i) for i in range(1000)], "x": np.arange(1000.0)}))
    source = Source("memory://f", len(data))
    with pytest.raises(StorageUnavailable):
        list(read_parquet(Failing(data), source, SCHEMA, "id", 100))


def test_a_null_is_no_nan_where_a_value_is_required() -> None:
    """Each is rejected under its own name; where nulls are allowed both are one."""
    x = pa.array([1.0, None, float("nan"), float("inf")])
    data = parquet(pa.table({"id": ["a", "b", "c", "d"], "x": x}))
    found = [str(r.code) for r in read(data)[0].validate(SCHEMA).rejections]
    assert found == ["null_value", "not_finite", "not_finite"]
    optional = Schema.from_signature([{"name": "x", "type": "double", "required": False}])
    valid = read(data, optional)[0].validate(optional)
    assert [(r.record_id, str(r.code)) for r in valid.rejections] == [("d", "not_finite")]
    assert [str(value) for value in valid.batch.columns[0]] == ["1.0", "nan", "nan"]


def test_integers_beside_a_null_keep_every_digit() -> None:
    """Also where a double would lose some."""
    schema = Schema.from_signature([{"name": "x", "type": "long", "required": False}])
    data = parquet(pa.table({"id": ["a", "b"], "x": [2**53 + 1, None]}))
    (chunk,) = read(data, schema)
    assert chunk.validate(schema).batch.columns[0].tolist() == [2**53 + 1, None]


def test_a_file_without_the_id_column() -> None:
    """The error names the file, the column and the setting."""
    with pytest.raises(InputError, match=r"in\.parquet.*'id'.*--record-id-column"):
        read(parquet(pa.table({"x": [1.0]})))


def test_a_file_without_rows_has_no_chunks() -> None:
    """Columns alone are no error."""
    assert read(parquet(pa.table({"id": pa.array([], pa.string())}))) == []


def test_columns_whose_names_begin_alike() -> None:
    """A dot in a name is a dot in a name."""
    schema = Schema.from_signature([{"name": "x", "type": "long"}, {"name": "x.y", "type": "long"}])
    (chunk,) = read(parquet(pa.table({"x": [1], "x.y": [2], "id": ["a"]})), schema)
    assert [c.tolist() for c in chunk.validate(schema).batch.columns] == [[1], [2]]
