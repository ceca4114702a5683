"""CSV that is written otherwise, columns that are called otherwise, values that a place gives."""

import gzip
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adapters.record_files.chunks import PLAIN, Chunk, CsvDialect, Position, ReadOptions, Source
from adapters.record_files.csv_reader import read_csv, read_csv_by_rows
from scoring.errors import ConfigurationError, InputError
from scoring.schema import Schema

SCHEMA = Schema.from_signature(
    [
        {"name": "d", "type": "double"},
        {"name": "i", "type": "long", "required": False},
        {"name": "t", "type": "string", "required": False},
    ]
)
Reader = Callable[..., Iterator[Chunk]]


@pytest.fixture(params=[read_csv, read_csv_by_rows])
def reader(request: pytest.FixtureRequest) -> Reader:
    """Either way of reading CSV."""
    read: Reader = request.param
    return read


def records(reader: Reader, data: bytes, options: ReadOptions = PLAIN) -> list[Any]:
    """Per row of a file in memory the values of a valid record, else the rules it broke."""
    source = Source("memory://f.csv", len(data))
    found: dict[int, Any] = {}
    for chunk in reader(io.BytesIO(data), source, SCHEMA, "id", 100, options):
        valid = chunk.validate(SCHEMA)
        columns = [column.tolist() for column in valid.batch.columns]
        for position, values in zip(valid.positions, zip(*columns, strict=True), strict=True):
            found[chunk.rows[position]] = values
        for rejection in chunk.located(valid.rejections):
            found[rejection.position] = f"{rejection.code}: {rejection.detail}"
    return [found[row] for row in sorted(found)]


def dialect(**settings: Any) -> ReadOptions:
    """Options that differ in the dialect alone."""
    return ReadOptions(dialect=CsvDialect(**settings))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("named", [True, False])
def test_the_header_tells_the_delimiter(reader: Reader, delimiter: str, named: bool) -> None:
    """The one with which it has the id column, wherever that stands."""
    text = '\n"d","id",i,"t"\n1.5,r,2,"a,b;c\td|e"\n'
    cells, _, quoted = text.rpartition(',"')
    data = (cells.replace(",", delimiter) + delimiter + '"' + quoted).encode()
    options = dialect(delimiter=delimiter) if named else PLAIN
    assert records(reader, data, options) == [(1.5, 2, "a,b;c\td|e")]


def test_a_header_of_the_id_alone_is_delimited_by_commas(reader: Reader) -> None:
    """Every delimiter would do; the first counts."""
    rule = "missing_field: d: is required"
    assert records(reader, b"id\n1\n1;2\n1,2\n")[:2] == [rule, rule]
    assert records(reader, b"id\n1,2\n") == ["malformed: must have as many cells as the header"]


def test_a_named_delimiter_is_not_guessed(reader: Reader) -> None:
    """With another one in the file there is no id column."""
    with pytest.raises(InputError, match=r"f\.csv: the header has no column 'id'"):
        records(reader, b"id,d\n1,2\n", dialect(delimiter=";"))


@pytest.mark.parametrize(
    ("settings", "row", "cell"),
    [
        ({"quote": "'"}, b"1,1,1,'a,''b\"'", "a,'b\""),
        ({"quote": ""}, b"1,1,1,\"a'", "\"a'"),
        ({"delimiter": "§"}, '1§1§1§"a§b"'.encode(), "a§b"),
        ({"delimiter": ",", "quote": "«"}, "1,1,1,«a,««b«".encode(), "a,«b"),
        ({"delimiter": " "}, b'1 1 1 "a b"', "a b"),
    ],
)
def test_other_marks(reader: Reader, settings: dict[str, str], row: bytes, cell: str) -> None:
    """Any character delimits and quotes; without a quote none does."""
    header = "id,d,i,t\n".replace(",", settings.get("delimiter", ","))
    found = records(reader, header.encode() + (row + b"\n") * 2, dialect(**settings))
    assert found == [(1.0, 1, cell)] * 2


def test_the_quote_is_no_delimiter_to_look_for(reader: Reader) -> None:
    """A header would have the id column with it, too."""
    options = ReadOptions(columns={"x;id;": "t"}, dialect=CsvDialect(quote=";"))
    assert records(reader, b"x;id;\tid\td\n;a\t;\t1\t2\n", options) == [(2.0, None, "a\t")]


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"delimiter": ""}, "delimiter"),
        ({"delimiter": ",,"}, "delimiter"),
        ({"delimiter": "\n"}, "delimiter"),
        ({"delimiter": ";", "quote": ";"}, "delimiter"),
        ({"quote": "''"}, "quote"),
        ({"quote": "\r"}, "quote"),
        ({"encoding": "no-such"}, "no encoding 'no-such'"),
    ],
)
def test_a_dialect_that_cannot_be(reader: Reader, settings: dict[str, str], rule: str) -> None:
    """It is a setting to repair, whatever the file holds."""
    with pytest.raises(ConfigurationError, match=rule):
        records(reader, b"id,d\n1,2\n", dialect(**settings))


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (b"1,5", 1.5),
        (b"-,5", -0.5),
        (b"5,e1", 50.0),
        (b"3", 3.0),
        (b"-0,0", -0.0),
        (b"1.5", "wrong_type: d: must be a number"),
        (b"1.000,5", "wrong_type: d: must be a number"),
        (b"1,000,5", "wrong_type: d: must be a number"),
        (b"nan", "not_finite: d: must be a finite number"),
        (b"", "null_value: d: must not be null"),
    ],
)
@pytest.mark.parametrize("times", [1, 20])
def test_a_decimal_comma(reader: Reader, cell: bytes, value: object, times: int) -> None:
    """It alone separates fractions; nothing is grouped, and text is text."""
    row = b'1;"%s";"3,0";"1.5, 1,5"\n' % cell
    found = records(reader, b"id;d;i;t\n" + row * times, dialect(decimal=","))
    expected = value if isinstance(value, str) else (value, 3, "1.5, 1,5")
    assert list(map(repr, found)) == [repr(expected)] * times


@pytest.mark.parametrize("codec", ["utf-16", "utf-32"])
def test_encodings_with_a_byte_order_mark_need_no_setting(reader: Reader, codec: str) -> None:
    """What some spreadsheets export is read, and the columns are delimited as the header says."""
    text = "id\td\ti\tt\r\n1\t2\t3\tä€\r\n"
    assert records(reader, text.encode(codec)) == [(2.0, 3, "ä€")]
    assert records(reader, gzip.compress(text.encode(codec))) == [(2.0, 3, "ä€")]


def test_a_row_that_is_not_in_the_encoding_is_rejected_alone(reader: Reader) -> None:
    """The rule names the encoding; in another one the same byte is a character."""
    data = b"id,d,i,t\n1,1,1,a\n2,2,2,\x81\xe4\n3,3,3,b\n"
    good = [(1.0, 1, "a"), (3.0, 3, "b")]
    for encoding, name in (("auto", "UTF-8"), ("ascii", "ascii"), ("cp1252", "cp1252")):
        found = records(reader, data, dialect(encoding=encoding))
        assert found == [good[0], f"malformed: must be {name}", good[1]]
    assert records(reader, data, dialect(encoding="cp437"))[1] == (2.0, 2, "üΣ")


def test_columns_go_by_their_new_names(reader: Reader) -> None:
    """The id column, features, and what the model does not know; names can be exchanged."""
    options = ReadOptions(columns={"key": "id", "i": "t", "t": "i", "amount": "d", "gone": "x"})
    assert records(reader, b"key;amount;i;t\nk;1;text;7\n", options) == [(1.0, 7, "text")]
    unknown = ReadOptions(columns={"t": "other"})
    found = records(reader, b"id,d,t\n1,2,x\n", unknown)
    assert found == ["unknown_field: other: is not a field of this model"]


def test_no_column_may_get_the_name_of_another(reader: Reader) -> None:
    """The file as a whole cannot be read; the error names the column."""
    options = ReadOptions(columns={"amount": "d"})
    with pytest.raises(InputError, match=r"f\.csv: the header names 'd' more than once"):
        records(reader, b"id,amount,d\n1,2,3\n", options)


def test_values_of_the_files_place_are_columns(reader: Reader) -> None:
    """Typed as cells are, where the model has such a feature and the file has no such column."""
    place: dict[str, str | None] = {"d": "2.5", "i": None, "t": "file's own", "region": "eu"}
    options = ReadOptions(constants=place, dialect=CsvDialect(decimal=","))
    assert records(reader, b"id,t\n1,x\n2,\n", options) == [(2.5, None, "x"), (2.5, None, None)]
    wrong = records(reader, b"id\n1\n", ReadOptions(constants={"d": "eu", "i": "x"}))
    assert wrong == ["wrong_type: d: must be a number; i: must be an integer"]


def test_records_from_a_pipe_are_there_when_they_came() -> None:
    """By rows, a chunk takes no more from the file than its rows need."""
    pipe = io.BufferedReader(Pipe([b"id,d\n1,1", b"\n2,2\n3,"]))
    chunks = read_csv_by_rows(pipe, Source("-"), SCHEMA, "id", 2)
    assert next(chunks).end == Position(2, 13)
    with pytest.raises(AssertionError, match="read further"):
        next(chunks)


class Pipe(io.RawIOBase):
    """Gives what was written to it, one piece at a time, of which none is to be missed."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """The next piece, or what there is room for."""
        assert self._pieces, "read further"
        piece = self._pieces.pop(0)
        if len(piece) > len(buffer):
            self._pieces.insert(0, piece[len(buffer) :])
        count = min(len(piece), len(buffer))
        buffer[:count] = piece[:count]
        return count
