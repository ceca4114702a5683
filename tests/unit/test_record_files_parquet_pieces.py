"""Parts of a Parquet file: any row groups, from the end of any chunk on."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.record_files.chunks import START, Chunk, Position, Source
from adapters.record_files.parquet_reader import read_parquet
from scoring.errors import InputError
from scoring.schema import Schema

SCHEMA = Schema.from_signature(
    [
        {"name": "text", "type": "string", "required": False},
        {"name": "other text", "type": "string"},
        {"name": "number", "type": "double", "required": False},
    ]
)
Facts = tuple[Any, ...]


def parquet(groups: list[int], text: pa.DataType = pa.string()) -> bytes:  # noqa: B008
    """A file with row groups of these sizes, in which no two rows are alike."""
    rows = range(sum(groups))
    texts = [None if row % 7 == 3 else f"text {row % 5} {row // 90}" for row in rows]
    others = pa.array([f"{row}" for row in rows])
    table = pa.table(
        {
            "id": [f"r{row + 1}" for row in rows],
            "text": pa.array(texts).cast(text),
            "other text": others.dictionary_encode() if pa.types.is_dictionary(text) else others,
            "number": [None if row % 4 == 1 else row / 8 for row in rows],
        }
    )
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema) as writer:
        for number, size in enumerate(groups):
            writer.write_table(table.slice(sum(groups[:number]), size), row_group_size=max(size, 1))
    return sink.getvalue()


def read(
    data: bytes, limit: int, start: Position = START, groups: tuple[int, int] | None = None
) -> list[Chunk]:
    """Chunks of a file in memory."""
    source = Source("memory://f.parquet", len(data))
    file = io.BytesIO(data)
    return list(read_parquet(file, source, SCHEMA, "id", limit, start=start, groups=groups))


def facts(chunk: Chunk) -> Facts:
    """Everything that counts about a chunk."""
    valid = chunk.validate(SCHEMA)
    columns = [c.tolist() if c.dtype == object else c.tobytes() for c in valid.batch.columns]
    ids = valid.batch.record_ids
    return list(chunk.rows), chunk.share, chunk.end, ids, columns, valid.rejections


GROUPS = st.lists(st.integers(0, 40) | st.integers(60, 200), max_size=5)
TEXTS = st.sampled_from(
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)


@settings(deadline=None, max_examples=150)
@given(GROUPS, TEXTS, st.data())
def test_reading_goes_on_behind_any_chunk_as_if_it_had_not_stopped(
    sizes: list[int], text: pa.DataType, data: st.DataObject
) -> None:
    """Of the whole file and of any of its row groups, whichever encoding the texts have."""
    limit = data.draw(st.integers(sum(sizes) // 8 + 1, 250))
    file = parquet(sizes, text)
    first = data.draw(st.integers(0, len(sizes)))
    groups = data.draw(st.none() | st.tuples(st.just(first), st.integers(first, len(sizes))))
    undisturbed = list(map(facts, read(file, limit, START, groups)))
    begin, end = (0, len(sizes)) if groups is None else groups
    rows = list(range(sum(sizes[:begin]) + 1, sum(sizes[:end]) + 1))
    expected = [rows[i : i + limit] for i in range(0, len(rows), limit)]
    assert [chunk[0] for chunk in undisturbed] == expected
    assert [i for chunk in undisturbed for i in chunk[3]] == [f"r{row}" for row in rows]
    for place, chunk in enumerate(undisturbed):
        assert chunk[1] == chunk[2].row / sum(sizes)
        assert chunk[2] == Position(chunk[0][-1])
        assert list(map(facts, read(file, limit, chunk[2], groups))) == undisturbed[place + 1 :]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 20), max_size=4), TEXTS)
def test_pieces_are_the_file(sizes: list[int], text: pa.DataType) -> None:
    """Row groups read apart hold the records of the file, each once and with the same bits."""
    file = parquet(sizes, text)
    whole = list(map(facts, read(file, 1)))
    apart = [facts(c) for g in range(len(sizes)) for c in read(file, 1, START, (g, g + 1))]
    assert apart == whole
    starts = [Position(sum(sizes[:g])) for g in range(len(sizes))]
    named = [facts(c) for g, s in enumerate(starts) for c in read(file, 1, s, (g, g + 1))]
    assert named == whole


def test_row_groups_before_the_start_are_not_decoded() -> None:
    """A first row group that is damaged since does not matter any more."""
    file = parquet([50, 50])
    second = pq.ParquetFile(io.BytesIO(file)).metadata.row_group(1).column(0).dictionary_page_offset
    damaged = file[:4] + bytes(second - 4) + file[second:]
    with pytest.raises(InputError, match="damaged or cut"):
        read(damaged, 30)
    (chunk,) = read(damaged, 60, Position(50))
    assert chunk.rows == range(51, 101)


def test_a_file_that_lost_row_groups_is_not_read() -> None:
    """It is not the file that the run was planned for."""
    with pytest.raises(InputError, match=r"memory://f\.parquet has fewer row groups"):
        read(parquet([3, 3]), 10, START, (1, 3))


def test_arrays_are_handed_over_as_they_were_read() -> None:
    """Numbers without nulls are views of what Arrow decoded; an optional one's null is NaN."""
    (chunk,) = read(parquet([1]), 10)
    assert isinstance(chunk.records, dict)
    number = chunk.records["number"]
    assert isinstance(number, np.ndarray)
    assert not number.flags.owndata
    (chunk,) = read(parquet([2]), 10)
    assert isinstance(chunk.records, dict)
    assert np.isnan(chunk.records["number"][1])


def test_a_row_group_is_not_held_whole() -> None:
    """Of one that is larger, the first chunk needs the promised 32 MiB and a little."""
    taken: list[int] = []

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            taken.append(len(data))
            return data

    texts = ["x" * (1 << 20)] * 48
    table = pa.table({"id": [f"r{i}" for i in range(48)], "other text": texts})
    sink = Counting()
    pq.write_table(table, sink, compression="none", use_dictionary=False, write_batch_size=1)
    chunks = read_parquet(sink, Source("f"), SCHEMA, "id", 1)
    assert next(chunks).record_ids == ["r0"]
    assert sum(taken) < 33 << 20 < len(sink.getvalue())
    assert [len(chunk) for chunk in chunks] == [1] * 47
