"""JSON lines that break a rule, one at a time."""

import io

import pytest

from adapters.record_files.chunks import Source
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
