"""CSV rows that break a rule, one at a time."""

import io

import pytest

from adapters.record_files.chunks import Chunk, Source
from adapters.record_files.csv_reader import read_csv
from adapters.record_files.lines import MAX_ROW_BYTES
from scoring.errors import InputError
from scoring.records import RejectionCode
from scoring.schema import Schema

SCHEMA = Schema.from_signature(
    [{"name": "a", "type": "string", "required": False}, {"name": "b", "type": "long"}],
    ignored=["comment"],
)


def read(data: bytes, limit: int = 100) -> list[Chunk]:
    """All chunks of a file in memory."""
    source = Source("memory://f.csv", len(data))
    return list(read_csv(io.BytesIO(data), source, SCHEMA, "id", limit))


def outcome(data: bytes) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """(row, id) of what could be read and passed, (row, code) of the rest."""
    good, bad = [], []
    for chunk in read(data):
        valid = chunk.validate(SCHEMA)
        good += [
            (chunk.rows[p], i) for p, i in zip(valid.positions, valid.batch.record_ids, strict=True)
        ]
        bad += [(r.position, str(r.code)) for r in chunk.located(valid.rejections)]
    return good, bad


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (b"2,x", "malformed"),
        (b"2,x,1,extra", "malformed"),
        (b"2", "malformed"),
        (b"   ", "malformed"),
        (b'2,"x"y,1', "malformed"),
        (b"2,\xff,1", "malformed"),
        (b"2,\xed\xa0\x80,1", "malformed"),
        (b"2,x\ry,1", "malformed"),
        (b"2," + b"x" * MAX_ROW_BYTES + b",1", "too_large"),
        (b",x,1", "invalid_record_id"),
        (b"i" * 257 + b",x,1", "invalid_record_id"),
        (b"2,x,", "null_value"),
        (b"2,x,one", "wrong_type"),
        (b"2,x,1.5", "wrong_type"),
        (b"2,x, 1", "wrong_type"),
        (b"2,x,nan", "not_finite"),
        (b"2,x,9223372036854775808", "out_of_range"),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_bad_row_is_rejected_alone(row: bytes, code: str, end: bytes) -> None:
    """One row, one rejection with its code and its number; its neighbours are read."""
    data = end.join([b"id,a,b", b"1,x,1", row, b"3,x,3", b""])
    assert outcome(data) == ([(1, "1"), (3, "3")], [(2, code)])


def test_an_open_quote_costs_one_row() -> None:
    """A quote that is never closed rejects its own line; the lines after it are read."""
    rows = [b"id,a,b", b"1,x,1", b'2,"x,2', *(b"%d,x,3" % i for i in range(3, 50_000))]
    good, bad = outcome(b"\n".join(rows))
    assert bad == [(2, "malformed")]
    assert len(good) == 49_998


def test_an_open_quote_before_quoted_rows_costs_one_row() -> None:
    """The same where later quotes would have closed it by accident."""
    data = b'id,a,b\n1,x,1\n2,"x,2\n3,"y, z",3\n4,"y",4\n'
    assert outcome(data) == ([(1, "1"), (3, "3"), (4, "4")], [(2, "malformed")])


def test_quoted_cells_may_hold_anything() -> None:
    """Commas, doubled quotes and line ends inside quotes belong to the cell and make one row."""
    chunk = read(b'id,a,b\n1,"x, ""y""\r\nz\n",1\n"2",y,"2"\n')[0]
    valid = chunk.validate(SCHEMA)
    assert valid.batch.columns[0].tolist() == ['x, "y"\r\nz\n', "y"]
    assert valid.batch.columns[1].tolist() == [1, 2]
    assert list(chunk.rows) == [1, 2]


def test_a_row_over_lines_that_is_no_text_is_one_rejection() -> None:
    """Where its cells end is known, so the line within it is not read as another row."""
    data = b'id,a,b\n1,"x\n\xff",1\n2,x,2\n'
    assert outcome(data) == ([(2, "2")], [(1, "malformed")])


def test_a_row_over_many_lines_is_bounded() -> None:
    """A quoted cell longer than a row may be is too large, and its lines are read as rows."""
    data = b'id,a,b\n1,"' + b"2,x,2\n" * (MAX_ROW_BYTES // 6 + 10)
    good, bad = outcome(data)
    assert bad[0] == (1, "too_large")
    assert len(good) + len(bad) == MAX_ROW_BYTES // 6 + 10


def test_the_longest_row_is_read() -> None:
    """A row of exactly the largest size is no error."""
    row = b"1," + b"x" * (MAX_ROW_BYTES - 5) + b",1\n"
    assert len(row) == MAX_ROW_BYTES
    assert outcome(b"id,a,b\n" + row) == ([(1, "1")], [])


@pytest.mark.parametrize("data", [b"", b"id,a,b", b"id,a,b\n", b"\n\n", b"\xef\xbb\xbfid,a,b\r\n"])
def test_a_file_without_rows_has_no_chunks(data: bytes) -> None:
    """Nothing, or nothing but a header, is no error."""
    assert read(data) == []


def test_blank_lines_are_no_rows() -> None:
    """They are skipped and not counted."""
    assert outcome(b"\nid,a,b\n\n1,x,1\n\r\n2,x,2\n\n") == ([(1, "1"), (2, "2")], [])


def test_a_byte_order_mark_is_no_part_of_the_header() -> None:
    """What Excel writes in front of UTF-8 is dropped."""
    assert outcome(b"\xef\xbb\xbfid,a,b\n1,x,1\n") == ([(1, "1")], [])


def test_a_missing_column_is_a_missing_field_of_every_row() -> None:
    """A header without a feature rejects every row for that reason."""
    assert outcome(b"id,a\n1,x\n2,x\n") == ([], [(1, "missing_field"), (2, "missing_field")])


def test_an_unknown_column_is_an_unknown_field_of_every_row() -> None:
    """A header with a field the model does not know rejects every row, even where it is empty."""
    assert outcome(b"id,a,b,z\n1,x,1,\n") == ([], [(1, "unknown_field")])


def test_an_ignored_column_is_not_looked_at() -> None:
    """Whatever stands there, the row is read."""
    assert outcome(b"id,comment,a,b\n1,anything,x,1\n") == ([(1, "1")], [])


def test_ids_keep_their_zeros() -> None:
    """An id is text: nothing is made of its digits."""
    assert outcome(b"id,a,b\n007,x,1\n1.0,x,1\n") == ([(1, "007"), (2, "1.0")], [])


@pytest.mark.parametrize(
    ("header", "rule"),
    [
        (b"a,b", "no column 'id'"),
        (b"id,a,b,a", "'a' more than once"),
        (b"id:a:b", "no column 'id'"),
        (b"id,\xff", "must be UTF-8"),
        (b"id," + b"x" * MAX_ROW_BYTES, "must not be longer"),
        ("id,a,b".encode("utf-16-le"), "no column 'id'"),
        ("id,a,b".encode("utf-16"), "must be UTF-16"),
    ],
)
def test_a_header_that_cannot_be_used(header: bytes, rule: str) -> None:
    """The file as a whole cannot be read: the error names the file and the rule."""
    with pytest.raises(InputError, match=rf"memory://f\.csv.*{rule}"):
        read(header + b"\n1,x,1\n")


def test_a_file_without_a_header_is_not_repeated() -> None:
    """Its first row has a person's values, one of them twice."""
    with pytest.raises(InputError, match="no column 'id'") as caught:
        read(b"4711,Mueller,52000,4711\n4712,Maier,1,2\n")
    assert not any(cell in str(caught.value) for cell in ("4711", "Mueller", "52000"))


def test_violations_never_repeat_cells() -> None:
    """Neither codes nor details hold what stood in the row."""
    for chunk in read(b'id,a,b\n1,x,SECRET\n2,"SECRET"SECRET,1\nSECRET,x\n'):
        rejected = chunk.located(chunk.validate(SCHEMA).rejections)
        assert [r.code for r in rejected] == [
            RejectionCode.WRONG_TYPE,
            RejectionCode.MALFORMED,
            RejectionCode.MALFORMED,
        ]
        assert not any("SECRET" in r.detail for r in rejected)
