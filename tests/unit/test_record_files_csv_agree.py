"""CSV by blocks and CSV row by row are the same reading, and it can go on anywhere."""

import gzip
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adapters.record_files.chunks import (
    PLAIN,
    START,
    Chunk,
    CsvDialect,
    Position,
    ReadOptions,
    Source,
)
from adapters.record_files.csv_blocks import BlockReader
from adapters.record_files.csv_reader import read_csv, read_csv_by_rows
from adapters.record_files.csv_rows import BAD_WIDTH, Cells, Marks, RowReader
from adapters.record_files.lines import MAX_ROW_BYTES, TextAhead
from adapters.record_files.text_stream import TextStream
from scoring.records import Violation
from scoring.schema import Schema
from scoring.values import Coded

SCHEMA = Schema.from_signature(
    [
        {"name": "d", "type": "double"},
        {"name": "i", "type": "integer", "required": False},
        {"name": "t", "type": "string", "required": False},
    ]
)
HEADER = b"id,d,i,t\n"
COMMA = ReadOptions(dialect=CsvDialect(decimal=","))

NUMBERS = [
    *(b"-0", b"-0.0", b"0", b"+3", b"007", b"-12", b"3.0", b"5.", b".5", b"-.5e1", b"1e5", b"1E-3"),
    *(b"1.7976931348623157e308", b"1e999", b"1e-400", b"0.1", b"2.2250738585072011e-308"),
    *(b"2147483648", b"9007199254740993", b"9223372036854775807", b"9223372036854775808"),
    *(b"1" * 30, b"8.5000000000000000000000000001", b"1,5", b"-0,0", b"1.5,2"),
]
ODD = [b"", b"-", b".", b"e5", b"1e", b"--1", b"1-2", b" 1", b"1_0", b"nan", b"-inf", b"0x1", b"x"]
TEXTS = [b"a", "é".encode(), "€𝄞".encode(), b'say ""hi""', b"two\nlines", b"two\r\nlines", b"5' 3"]
NOT_PLAIN = [
    *(b'5" pipe', b"\0", b"a\rb", b"\xff", b"\xe2\x82", b"\xed\xa0\x80", b"\xef\xbb\xbf", b'"'),
    *(b'"open', b'"x"y', b"\r", b"\xc3", b'""'),
]
LINE_ENDS = [b"\n", b"\r\n"]
MARKS = [b'"', b",", b"\n", b"\r\n", b"\r"]


@st.composite
def regular_text(draw: st.DrawFn) -> bytes:
    """Rows as programs write them; sometimes one with something odd in it, or of another width."""
    numbers = draw(st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=5))
    numbers += draw(st.sampled_from([[], [], [b""], [draw(st.sampled_from(ODD))]]))
    texts = draw(st.lists(st.sampled_from([b"", *TEXTS]), min_size=1, max_size=3))
    odd = draw(st.sampled_from([[], [draw(st.sampled_from(NOT_PLAIN))]]))
    line_end = draw(st.sampled_from(LINE_ENDS))
    rows: list[bytes] = []
    for number in range(draw(st.integers(0, 40))):
        cells = [b"%d" % number, draw(_one(numbers)), draw(_one(numbers)), draw(_one(texts))]
        row = b",".join(_quoted(cell, draw(st.booleans())) for cell in cells)
        if odd and draw(st.integers(0, 9)) == 0:
            beside = [row + odd[0], odd[0] + row, b"1,2,3," + odd[0], odd[0] + b",2,3,x"]
            row = draw(st.sampled_from([*beside, b"", b"1", row + b",1", b'""']))
        rows.append(row)
    return line_end.join(rows) + draw(st.sampled_from([b"", line_end]))


def _one(values: list[bytes]) -> st.SearchStrategy[bytes]:
    return st.sampled_from(values)


def _quoted(cell: bytes, always: bool) -> bytes:
    return b'"%s"' % cell if always or any(c in cell for c in b'",\n\r') else cell


ANYTHING = [*NUMBERS, *ODD, *TEXTS, *NOT_PLAIN, *MARKS * 8]
SOUPS = st.lists(st.sampled_from(ANYTHING), max_size=60).map(b"".join)
ROWS = regular_text() | SOUPS
SIZES = st.integers(1, 80) | st.just(1 << 20)
LIMITS = st.integers(1, 9) | st.just(100)


def by_blocks(
    data: bytes,
    limit: int,
    size: int,
    options: ReadOptions = PLAIN,
    start: Position = START,
) -> Iterable[Chunk]:
    """The file as `read_csv` reads it, in blocks of `size`."""
    source = Source("memory://f", len(data))
    file = io.BytesIO(data)
    return read_csv(file, source, SCHEMA, "id", limit, options, start, block_bytes=size)


def by_rows(data: bytes, limit: int, options: ReadOptions = PLAIN) -> Iterable[Chunk]:
    """The file as the other reader reads it."""
    source = Source("memory://f", len(data))
    return read_csv_by_rows(io.BytesIO(data), source, SCHEMA, "id", limit, options)


def seen(chunks: Iterable[Chunk]) -> list[Any]:
    """Everything that counts about chunks: their cut, rows, ids, bits and rejections."""
    found = []
    for chunk in chunks:
        valid = chunk.validate(SCHEMA)
        bits = [[_bits(value) for value in column] for column in valid.batch.columns]
        found.append(
            (
                (list(chunk.rows), list(chunk.record_ids), list(chunk.unreadable), chunk.end),
                (valid.batch.record_ids, valid.positions.tolist(), bits, valid.rejections),
            )
        )
    return found


def _bits(value: Any) -> Any:
    return (value.dtype.str, value.tobytes()) if isinstance(value, np.generic) else value


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS, LIMITS, SIZES, st.sampled_from([PLAIN, COMMA]))
@example(b"\xef\xbb\xbf1,2,3,x\n", 9, 1 << 20, PLAIN)
@example(b'1,2,3,"x"y\n"x"y,2,3,x\n', 9, 1 << 20, PLAIN)
@example(b"1,-0,1,x\n2,-0.0,1,x\n3,.5,1,x\n", 9, 1 << 20, PLAIN)
def test_blocks_are_read_as_rows_are(
    rows: bytes, limit: int, size: int, options: ReadOptions
) -> None:
    """The same chunks with the same verdicts and bits, whatever the text and the blocks."""
    data = HEADER + rows
    assert seen(by_blocks(data, limit, size, options)) == seen(by_rows(data, limit, options))


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS, LIMITS, SIZES)
def test_reading_goes_on_where_a_chunk_ended(rows: bytes, limit: int, size: int) -> None:
    """From the end of any chunk come the chunks that came after it."""
    data = b"\xef\xbb\xbf" + HEADER + rows
    chunks = list(by_blocks(data, limit, size))
    expected = seen(chunks)
    for number, chunk in enumerate(chunks, 1):
        assert seen(by_blocks(data, limit, size, start=chunk.end)) == expected[number:]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
def test_reading_goes_on_far_into_a_file(pack: Callable[[bytes], bytes], codec: str) -> None:
    """Also where the file was not read to yet, is compressed, or is not UTF-8."""
    rows = "".join(f"{n},{n}.5,{n},é\n" for n in range(20_000))
    data = pack((HEADER.decode() + rows).encode(codec))
    chunks = list(by_blocks(data, 4_000, 1 << 14))
    assert [chunk.end.row for chunk in chunks] == [4_000, 8_000, 12_000, 16_000, 20_000]
    for number, chunk in enumerate(chunks, 1):
        found = by_blocks(data, 4_000, 1 << 14, start=chunk.end)
        assert seen(found) == seen(chunks[number:])


def test_an_end_is_where_the_next_row_begins() -> None:
    """Of rows over many lines, of unreadable ones and of blocks that end amid a row."""
    rows = [b'1,1,1,"two\nlines"\n', b"2,2,2,x\r\n", b'3,3,3,"x\n', b"4,4,4,\n", b'"5",5,5,""']
    ends = [len(HEADER) + len(b"".join(rows[: n + 1])) for n in range(len(rows))]
    expected = [Position(row, end) for row, end in enumerate(ends, 1)]
    data = HEADER + b"".join(rows)
    for size in (1, 7, 20, 1 << 20):
        assert [chunk.end for chunk in by_blocks(data, 1, size)] == expected


class NoRows(RowReader):
    """A reader by rows that must not be used."""

    def read(self) -> Cells | Violation | None:
        """Not to be called."""
        raise AssertionError("plain text was read row by row")


@pytest.mark.parametrize("line_end", LINE_ENDS)
def test_plain_text_is_not_read_row_by_row(line_end: bytes) -> None:
    """Quotes, doubled ones, line ends in cells, other widths and blank lines are no reason."""
    cells = [b"1,2,3,a", b'"2","\xc3\xa9",3,"say ""hi"", you"', b'3,"two', b'lines",4,""']
    lines = [*cells, b"", b"4"]
    data = line_end.join([*lines, b""])
    text = TextAhead(TextStream(io.BytesIO(data), Source("f")))
    blocks = list(BlockReader(text, NoRows(text, Marks(",", '"'), "UTF-8"), 4, [0, 3], 1 << 20))
    table = pa.concat_tables([block.table for block in blocks])
    assert table.column("3").to_pylist() == ["a", 'say "hi", you', ""]
    assert blocks[-1].ends[-1] == len(data)
    assert blocks[-1].unreadable == [(len(blocks[-1]) - 1, BAD_WIDTH)]


def long_rows() -> Sequence[bytes]:
    """Rows at the limit of a row's size, by themselves and over many lines."""
    just = b"1,2,3," + b"x" * (MAX_ROW_BYTES - 7) + b"\n"
    lines = b'1,2,3,"' + b"1,2,3,y\n" * (MAX_ROW_BYTES // 8) + b'"\n'
    return [just, b"9" + just, lines, b'1,2,3,"' + just, b"x" * 3 * MAX_ROW_BYTES + b'"\n']


@pytest.mark.parametrize("size", [1 << 12, 1 << 21, 1 << 24])
@pytest.mark.parametrize("row", long_rows(), ids=range(len(long_rows())))
def test_long_rows_are_the_same_in_blocks(row: bytes, size: int) -> None:
    """A row that is as long as can be or longer is judged alike, and so are its neighbours."""
    data = HEADER + b"0,2,3,a\n" + row + b"2,2,3,b\n"
    assert seen(by_blocks(data, 10_000, size)) == seen(by_rows(data, 10_000))


def test_values_come_in_the_form_that_is_cheapest_to_check() -> None:
    """Codes where few differ, arrays where many numbers do, and plain values where it must be."""
    lines = [b"%d,%d.5,%d,%s\n" % (n, n, n % 3, b"same") for n in range(100)]
    chunk = next(iter(by_blocks(HEADER + b"".join(lines), 100, 1 << 20)))
    assert isinstance(chunk.records, dict)
    forms = {name: type(values) for name, values in chunk.records.items()}
    assert forms == {"d": np.ndarray, "i": Coded, "t": Coded}
    assert chunk.rows == range(1, 101)
    assert chunk.as_rows()[1] == {"d": 1.5, "i": 1, "t": "same"}
    assert [type(value) for value in chunk.as_rows()[1].values()] == [float, int, str]
