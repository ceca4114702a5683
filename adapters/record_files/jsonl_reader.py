"""JSON Lines (UTF-8, one object a line): every line is a record or has a rule it broke."""

from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, Final

from adapters.record_files.chunks import (
    PLAIN,
    START,
    Chunk,
    Position,
    ReadOptions,
    Records,
    Source,
    in_chunks,
)
from adapters.record_files.lines import TOO_LONG, TextAhead, lines
from adapters.record_files.text_stream import TextStream
from scoring.json_text import NotJsonError, decode_json
from scoring.records import RejectionCode, Violation
from scoring.schema import Schema
from scoring.text import parse_cell

_NO_OBJECT: Final = Violation(None, RejectionCode.MALFORMED, "must be one JSON object")
_TWICE: Final = Violation(
    None, RejectionCode.MALFORMED, "must have no two fields of the same name after renaming"
)


def read_jsonl(
    file: IO[bytes],
    source: Source,
    schema: Schema,
    id_column: str,
    limit: int,
    options: ReadOptions = PLAIN,
    start: Position = START,
) -> Iterator[Chunk]:
    """Chunks of `limit` rows, the last of fewer. Blank lines are no rows, an empty file has none.

    Of `options`, `columns` and `constants` count: each record's fields are renamed, and it gets the
    constants that it has no field for. A record that would have two fields of one name is
    unreadable. From `start` on, the `end` of a chunk, come the chunks that came after that one.
    Blocks on the file. Raises InputError when a compressed file is damaged.
    """
    stream = TextStream(file, source)
    text = TextAhead(stream)
    text.skip_to(start.offset)
    keeps_id = id_column in schema.names
    kinds = {feature.name: feature.type for feature in schema.features}
    constants = {
        name: parse_cell(kinds[name], value)
        for name, value in options.constants.items()
        if name in kinds
    }

    def assemble(rows: list[Any]) -> tuple[Sequence[Any], Records]:
        ids = [row.get(id_column) if keeps_id else row.pop(id_column, None) for row in rows]
        return ids, [constants | row for row in rows] if constants else rows

    rows = _rows(text, options.columns)
    yield from in_chunks(rows, limit, assemble, stream.share, start.row, lambda: text.offset)


def _rows(text: TextAhead, columns: Mapping[str, str]) -> Iterator[dict[str, Any] | Violation]:
    """Decoded objects, and violations."""
    for line in lines(text):
        if line is None:
            yield TOO_LONG
        elif line.strip():
            try:
                row = decode_json(line)
            except NotJsonError as error:
                yield Violation(None, RejectionCode.MALFORMED, str(error))
            else:
                if isinstance(row, dict):
                    yield _renamed(row, columns) if columns else row
                else:
                    yield _NO_OBJECT


def _renamed(row: dict[str, Any], columns: Mapping[str, str]) -> dict[str, Any] | Violation:
    renamed = {columns.get(name, name): value for name, value in row.items()}
    return renamed if len(renamed) == len(row) else _TWICE
