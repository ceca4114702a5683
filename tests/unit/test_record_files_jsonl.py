"""JSON lines that break a rule, one at a time; what is renamed, added, and read from a place on."""

import gzip
import io
from typing import Any

import pytest

from adapters.record_files.chunks import PLAIN, START, Chunk, Position, ReadOptions, Source
from adapters.record_files.jsonl_reader import read_jsonl
from adapters.record_files.lines import MAX_ROW_BYTES
from scoring.schema import Schema

SCHEMA = Schema.from_signature(
    [{"name": "a", "type": "string", "required": False}, {"name": "b", "type": "double"}],
    ignored=["comment"],
)


def outcome(data: bytes) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """(row, id) of what could be read and passed, (row, code) of the rest."""
    source = Source("memory://f", len(data))
    good, bad = [], []
    for chunk in read_jsonl(io.BytesIO(data), source, SCHEMA, "id", 2):
        valid = chunk.validate(SCHEMA)
        good += [
            (chunk.rows[p], i) for p, i in zip(valid.positions, valid.batch.record_ids, strict=True)
        ]
        bad += [(r.position, str(r.code)) for r in chunk.located(valid.rejections)]
    return good, bad


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", "malformed"),
        (b'{"id": "2", "b": 1', "malformed"),
        (b'{"id": "2", "b": 1}}', "malformed"),
        (b'{"id": "2", "b": 01}', "malformed"),
        (b"3", "malformed"),
        (b"null", "malformed"),
        (b"[]", "malformed"),
        (b'"text"', "malformed"),
        (b"[NaN]", "malformed"),
        (b"[" * 100_000, "malformed"),
        (b'{"id": "2", "b": ' + b"9" * 5000 + b"}", "malformed"),
        (b'{"id": "2", "a": "\xff", "b": 1}', "malformed"),
        (b'{"id": "2", "a": "\\ud800", "b": 1}', "malformed"),
        (b'{"id": "2", "a": "\\ud800", "b": NaN}', "malformed"),
        (b'{"id": "2", "a": "' + b"x" * MAX_ROW_BYTES + b'", "b": 1}', "too_large"),
        (b'{"b": 1}', "invalid_record_id"),
        (b'{"id": null, "b": 1}', "invalid_record_id"),
        (b'{"id": 2.0, "b": 1}', "invalid_record_id"),
        (b'{"id": true, "b": 1}', "invalid_record_id"),
        (b'{"id": "2"}', "missing_field"),
        (b'{"id": "2", "b": null}', "null_value"),
        (b'{"id": "2", "b": "1"}', "wrong_type"),
        (b'{"id": "2", "b": 1, "z": null}', "unknown_field"),
        (b'{"id": "2", "b": NaN}', "not_finite"),
        (b'{"id": "2", "b": -Infinity}', "not_finite"),
        (b'{"id": "2", "b": 1e999}', "not_finite"),
        (b'{"id": "2", "b": 1' + b"0" * 400 + b"}", "out_of_range"),
    ],
)
def test_a_bad_line_is_rejected_alone(line: bytes, code: str) -> None:
    """One line, one rejection with its code and its number; its neighbours are read."""
    good = b'{"id": "%d", "b": 1, "comment": {"any": ["thing"]}}'
    data = b"\n".join([good % 1, line, good % 3, good % 4])
    assert outcome(data) == ([(1, "1"), (3, "3"), (4, "4")], [(2, code)])


def test_an_integer_id_is_its_digits() -> None:
    """A number is an id as the text of its digits."""
    assert outcome(b'{"id": 7, "b": 1}') == ([(1, "7")], [])


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\t\n", b"\xef\xbb\xbf"])
def test_blank_lines_are_no_rows(data: bytes) -> None:
    """They are skipped and not counted, alone and between records."""
    line = b'{"id": "1", "b": 1}\n'
    assert outcome(data) == ([], [])
    assert outcome(b"\xef\xbb\xbf" + line + b"\n  \r\n" + line) == ([(1, "1"), (2, "1")], [])


def test_a_line_that_is_cut_off_is_one_rejection() -> None:
    """The end of a file that was cut is rejected, what stands before it is read."""
    assert outcome(b'{"id": "1", "b": 1}\n{"id": "2", "b"') == ([(1, "1")], [(2, "malformed")])


def read(
    data: bytes, limit: int = 100, options: ReadOptions = PLAIN, start: Position = START
) -> list[Chunk]:
    """All chunks of a file in memory."""
    source = Source("memory://f", len(data))
    return list(read_jsonl(io.BytesIO(data), source, SCHEMA, "id", limit, options, start))


def test_fields_go_by_their_new_names() -> None:
    """The id, features, and what the model does not know; names can be exchanged."""
    options = ReadOptions(columns={"key": "id", "a": "b", "b": "a", "gone": "x"})
    chunk = read(b'{"key": "k", "a": 1, "b": "text"}\n{"key": "l", "a": 2}', options=options)[0]
    assert chunk.record_ids == ["k", "l"]
    assert chunk.records == [{"b": 1, "a": "text"}, {"b": 2}]


def test_a_field_that_would_be_there_twice_rejects_its_record() -> None:
    """Which of both is meant cannot be known; other records have one of them."""
    options = ReadOptions(columns={"amount": "b"})
    lines = b'{"id": 1, "b": 1}\n{"id": 2, "b": 1, "amount": 1}\n{"id": 3, "amount": 3}\n'
    chunk = read(lines, options=options)[0]
    assert chunk.record_ids == [1, 3]
    assert chunk.records == [{"b": 1}, {"b": 3}]
    assert [(row, str(v.code)) for row, v in chunk.unreadable] == [(2, "malformed")]


def test_values_of_the_files_place_are_fields() -> None:
    """Typed as cells are, where the model has such a feature and the record no such field."""
    options = ReadOptions(constants={"a": None, "b": "2.5", "region": "eu"})
    chunk = read(b'{"id": 1}\n{"id": 2, "a": "x", "b": null}\n', options=options)[0]
    assert chunk.records == [{"a": None, "b": 2.5}, {"a": "x", "b": None}]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
def test_reading_goes_on_where_a_chunk_ended(pack: Any, codec: str) -> None:
    """From the end of any chunk come the chunks that came after it, unreadable rows included."""
    lines = [f'{{"id": "{n}", "a": "é€", "b": {n}}}\n' for n in range(4000)]
    lines[1500:1500] = ["\n", "{\n", "x" * (MAX_ROW_BYTES + 1) + "\n", "  \n"]
    data = pack("".join(lines).encode(codec))
    chunks = read(data, 501)
    assert [chunk.end.row for chunk in chunks] == [*range(501, 4002, 501), 4002]
    for number, chunk in enumerate(chunks, 1):
        found = read(data, 501, start=chunk.end)
        assert [_seen(c) for c in found] == [_seen(c) for c in chunks[number:]]


def _seen(chunk: Chunk) -> Any:
    return chunk.rows, chunk.record_ids, chunk.records, chunk.unreadable, chunk.end


def test_an_end_is_where_the_next_row_begins() -> None:
    """Counted in bytes of the text, without a byte order mark."""
    lines = ['{"id": "é"}\n', "{\r\n", "[]"]
    chunks = read(b"\xef\xbb\xbf" + "".join(lines).encode(), 1)
    assert [chunk.end for chunk in chunks] == [Position(1, 13), Position(2, 16), Position(3, 18)]
