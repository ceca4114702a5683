"""JSON Lines (UTF-8, one object a line): every line is a record or has a rule it broke."""

import json
from collections.abc import Iterator, Sequence
from typing import IO, Any, Final

import msgspec

from batch_scorer.chunks import Chunk, Records, in_chunks
from batch_scorer.inputs import InputFile
from batch_scorer.lines import NOT_UTF8, TOO_LONG, Lines
from scoring.records import RejectionCode, Violation
from scoring.schema import Schema

_NOT_JSON: Final = Violation(None, RejectionCode.MALFORMED, "must be one JSON object")


def read_jsonl(
    file: IO[bytes], source: InputFile, schema: Schema, id_column: str, limit: int
) -> Iterator[Chunk]:
    """Chunks of at most `limit` rows. Blank lines are no rows, and an empty file has none.

    `NaN`, `Infinity` and numbers beyond a double, which Python and others write although JSON has
    none of them, are read as floats that are not finite, so that the rejection names the field.
    """
    lines = Lines(file, source.size)
    keeps_id = id_column in schema.names

    def assemble(rows: list[Any]) -> tuple[Sequence[Any], Records]:
        return [_record_id(row, id_column, keeps_id) for row in rows], rows

    yield from in_chunks(_rows(lines), limit, assemble, lines.share)


def _record_id(row: Any, id_column: str, keeps_id: bool) -> Any:
    if not isinstance(row, dict):
        return None
    return row.get(id_column) if keeps_id else row.pop(id_column, None)


def _rows(lines: Lines) -> Iterator[Any]:
    """Decoded values and violations."""
    decode = msgspec.json.Decoder().decode
    for line in lines:
        if line is None:
            yield TOO_LONG
        elif line.strip():
            try:
                row = decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                yield _closer_look(line)
            else:
                yield row if isinstance(row, dict) else _NOT_JSON


def _closer_look(line: bytes) -> Any:
    """What msgspec refuses: a row with numbers that are not finite, or the rule that was broken."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return NOT_UTF8
    try:
        row = json.loads(text)
        msgspec.json.encode(row)  # fails on text with half a surrogate pair
    except (ValueError, RecursionError):
        return _NOT_JSON
    return row if isinstance(row, dict) else _NOT_JSON
