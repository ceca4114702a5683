"""What of a piece of CSV is plain, and where its rows end."""

import pytest

from adapters.record_files.csv_rows import Marks
from adapters.record_files.csv_scan import can_scan, plain_rows
from adapters.record_files.lines import MAX_ROW_BYTES

COMMA = Marks(",", '"')


@pytest.mark.parametrize(
    ("piece", "ends"),
    [
        (b"", []),
        (b"no line end", []),
        (b"a,b\n1,2\nrest", [4, 8]),
        (b"a,b\r\n\r\n\n1,2\r\n", [5, 13]),
        (b'"a","b ""c"""\n"",""\n"""",x\n', [14, 20, 27]),
        (b'"a\nb","c\r\nd"\r\n1,"open\n', [14]),
        ("ä,€\n𝄞,x\n".encode() + "é".encode()[:1], [7, 14]),
        (b"1,\xef\xbb\xbf\n", [6]),
    ],
)
def test_rows_end_at_line_ends_outside_quotes(piece: bytes, ends: list[int]) -> None:
    """Blank lines are no rows, and what comes behind the last line end does not count."""
    found = plain_rows(piece, COMMA)
    assert found.ends.tolist() == ends
    assert found.size == max(ends, default=0)


@pytest.mark.parametrize(
    "row",
    [
        b'1,a"b",2\n',
        b'1,a"b,2\n',
        b'1,"a"b,2\n',
        b'1,"a" ,2\n',
        b'1, "a",2\n',
        b'"1,a\n',
        b"1,a\rb\n",
        b"1,a\r\r\n",
        b"1,\xff\n",
        b"1,\xed\xa0\x80\n",
        b"x" * MAX_ROW_BYTES + b"\n",
        b'"' + b"x\n" * (MAX_ROW_BYTES // 2) + b'"\n',
    ],
)
def test_nothing_is_plain_from_an_odd_row_on(row: bytes) -> None:
    """The rows before it are; it is left for a closer look, and so is what comes behind it."""
    found = plain_rows(b'1,2\n"3",4\n' + row + b"5,6\n", COMMA)
    assert found.ends.tolist() == [4, 10]
    assert plain_rows(row + b"5,6\n", COMMA).size == 0


def test_a_byte_order_mark_is_not_where_plain_text_begins() -> None:
    """Arrow would take it for one, although it is a character of the first cell."""
    assert plain_rows(b"\xef\xbb\xbf1,2\n", COMMA).size == 0


def test_blank_lines_alone_are_plain() -> None:
    """There is no row in them, but they can be passed."""
    found = plain_rows(b"\n\r\n\n", COMMA)
    assert (found.size, found.ends.tolist()) == (4, [])


@pytest.mark.parametrize(
    ("marks", "row", "plain"),
    [
        (Marks(";", "'"), b"'a;\n';\"b\n", True),
        (Marks(";", "'"), b"'a',b\n", False),
        (Marks("|", ""), b"a\"b|'c\n", True),
        (Marks("\t", '"'), b'"a"\t"b"\n', True),
    ],
)
def test_other_marks_tell_other_cells_apart(marks: Marks, row: bytes, plain: bool) -> None:
    """Only the dialect's own quote and delimiter count; without a quote every character does."""
    assert can_scan(marks)
    assert (plain_rows(row, marks).size == len(row)) is plain


@pytest.mark.parametrize("marks", [Marks("§", '"'), Marks(",", "«")])
def test_marks_of_several_bytes_cannot_be_scanned_for(marks: Marks) -> None:
    """Such text is read row by row."""
    assert not can_scan(marks)
