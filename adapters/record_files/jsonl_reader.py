"""JSON Lines (UTF-8, one object a line): every line is a record or has a rule it broke."""

from collections.abc import Iterator, Sequence
from typing import IO, Any, Final

from adapters.record_files.chunks import Chunk, Records, Source, in_chunks
from adapters.record_files.lines import TOO_LONG, Lines
from scoring.json_text import NotJsonError, decode_json
from scoring.records import RejectionCode, Violation
from scoring.schema import Schema

_NO_OBJECT: Final = Violation(None, RejectionCode.MALFORMED, "must be one JSON object")


def read_jsonl(
    file: IO[bytes], source: Source, schema: Schema, id_column: str, limit: int
) -> Iterator[Chunk]:
    """Chunks of at most `limit` rows. Blank lines are no rows, and an empty file has none."""
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
    for line in lines:
        if line is None:
            yield TOO_LONG
        elif line.strip():
            try:
                row = decode_json(line)
            except NotJsonError as error:
                yield Violation(None, RejectionCode.MALFORMED, str(error))
            else:
                yield row if isinstance(row, dict) else _NO_OBJECT
