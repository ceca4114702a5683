"""Text columns of Parquet files: codes where few values are distinct, the same bits everywhere."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.record_files.arrow_values import as_list, column_values, joined
from adapters.record_files.chunks import Chunk, Source
from adapters.record_files.parquet_reader import read_parquet
from scoring.records import Validated
from scoring.schema import FieldType, Schema
from scoring.validation import validate_columns
from scoring.values import Coded, Values

SCHEMA = Schema.from_signature([{"name": "f", "type": "string"}])
KINDS = [
    *(pa.string(), pa.large_string(), pa.string_view()),
    *(pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int32(), pa.large_string())),
]


def read(column: pa.Array, limit: int = 1000, **options: Any) -> list[Chunk]:
    """The chunks of a file with this column."""
    sink = io.BytesIO()
    ids = pa.array([f"r{i}" for i in range(len(column))])
    pq.write_table(pa.table({"id": ids, "f": column}), sink, **options)
    sink.seek(0)
    return list(read_parquet(sink, Source("f"), SCHEMA, "id", limit))


def column_of(chunk: Chunk) -> Values:
    """The column of a chunk."""
    assert isinstance(chunk.records, dict)
    found: Values = chunk.records["f"]
    return found


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_few_distinct_texts_are_codes(kind: pa.DataType) -> None:
    """Nulls too, and across row groups with dictionaries of their own."""
    texts = [None if i % 5 == 4 else f"text {i % 3}" for i in range(300)]
    for chunk in read(pa.array(texts).cast(kind), limit=150, row_group_size=70):
        coded = column_of(chunk)
        assert isinstance(coded, Coded)
        assert sorted(map(str, coded.distinct)) == ["None", "text 0", "text 1", "text 2"]
        assert list(coded) == [texts[row - 1] for row in chunk.rows]


@pytest.mark.parametrize("kind", KINDS[:3], ids=str)
def test_many_distinct_texts_are_a_list(kind: pa.DataType) -> None:
    """Codes would only stand between."""
    texts = [None if i % 5 == 4 else f"text {i}" for i in range(300)]
    for chunk in read(pa.array(texts).cast(kind), limit=150, row_group_size=70):
        assert column_of(chunk) == [texts[row - 1] for row in chunk.rows]


def test_texts_without_a_dictionary_are_read_as_they_are() -> None:
    """Nothing is known of how many are distinct."""
    (chunk,) = read(pa.array(["a"] * 100), use_dictionary=False)
    assert column_of(chunk) == ["a"] * 100


def test_a_dictionary_that_the_writer_gave_up_is_not_asked_for() -> None:
    """Most values stand there as they are, and Arrow would keep every one of them."""
    texts = ["a"] * 16_000 + [f"{i:08d}" * 200 for i in range(2000)]
    first, second = read(pa.array(texts), 16_000, row_group_size=18_000)
    assert column_of(first) == texts[:16_000]
    assert column_of(second) == texts[16_000:]


TEXTS = st.sampled_from([b"a", b"b", b"", b"\xff", b"\xed\xa0\x80", "é".encode(), None])


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=80), st.sampled_from(FieldType), st.booleans())
def test_a_dictionary_gets_the_verdict_of_its_values(
    raw: list[bytes | None], kind: FieldType, required: bool
) -> None:
    """Text that is not UTF-8 included."""
    schema = Schema.from_signature([{"name": "f", "type": str(kind), "required": required}])
    binary = pa.array(raw, pa.binary())
    plain = pa.Array.from_buffers(pa.string(), len(raw), binary.buffers())
    encoded = binary.dictionary_encode()
    known = encoded.dictionary
    texts = pa.Array.from_buffers(pa.string(), len(known), known.buffers())
    dictionary = pa.DictionaryArray.from_arrays(encoded.indices, texts)
    assert facts(schema, dictionary) == facts(schema, plain)


def facts(schema: Schema, column: pa.Array) -> tuple[Any, ...]:
    """What validation makes of a column."""
    ids = [str(i) for i in range(len(column))]
    valid: Validated = validate_columns(schema, {"f": column_values(column)}, ids)
    (found,) = valid.batch.columns
    bits = found.tolist() if found.dtype == object else found.tobytes()
    return valid.batch.record_ids, str(found.dtype), bits, valid.rejections


def test_a_dictionary_may_hold_what_no_record_has() -> None:
    """An entry that could not be read as text rejects nothing."""
    raw = pa.array([b"a", b"\xff"], pa.binary())
    texts = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    indices = pa.array([0] * 20, pa.int8())
    column = column_values(pa.DictionaryArray.from_arrays(indices, texts))
    assert isinstance(column, Coded)
    assert validate_columns(SCHEMA, {"f": column}, [str(i) for i in range(20)]).rejections == ()


@pytest.mark.parametrize("index", [pa.int8(), pa.uint8(), pa.int64()], ids=str)
def test_a_dictionary_that_fills_its_indices_has_nulls_all_the_same(index: pa.DataType) -> None:
    """The code of null is one more than the indices' type holds."""
    texts = [f"text {i}" for i in range(128)]
    indices = pa.array([*range(128)] * 8 + [None], index)
    column = column_values(pa.DictionaryArray.from_arrays(indices, pa.array(texts)))
    assert isinstance(column, Coded)
    assert list(column) == [*texts * 8, None]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        *((kind, ["a", None, "b"]) for kind in KINDS),
        (pa.binary(), [b"a", None, b"b"]),
        (pa.int8(), [1, None, 2]),
        (pa.list_(pa.int8()), [[1], None, [2]]),
    ],
    ids=str,
)
def test_chunks_are_joined_whatever_their_type(kind: pa.DataType, values: list[Any]) -> None:
    """Also chunks without rows, and dictionaries that differ."""
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    parts = [pa.array(part, plain).cast(kind) for part in (values[:2], [], values[2:])]
    assert joined(pa.chunked_array(parts, kind)).to_pylist() == values


def test_numbers_of_a_dictionary_are_plain_numbers() -> None:
    """NumPy's own numbers are of no type that validation knows."""
    column = pa.array([1, 2] * 20, pa.int64()).dictionary_encode()
    coded = column_values(column)
    assert isinstance(coded, Coded)
    assert [type(value) for value in coded.distinct] == [int, int]
    assert as_list(coded) == [1, 2] * 20
    assert coded.codes.dtype == np.int32
