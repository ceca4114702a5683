"""Records from CSV or JSON Lines, one at a time, as what JSON decoding gives."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import msgspec

from scoring.errors import InputError
from scoring.schema import Schema
from scoring.text import parse_cell


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A record and its id. The id column is part of `fields` only where the model has a feature of
    that name.
    """

    record_id: str
    fields: dict[str, Any]


def read_csv(file: IO[bytes], schema: Schema, id_column: str) -> Iterator[FileRecord]:
    """Records of a CSV file (UTF-8, RFC 4180, a header line).

    Cells of features are typed as in the batch lane; others stay text; an empty cell is null.
    Raises InputError naming the line that cannot be read.
    """
    kinds = {f.name: f.type for f in schema.features}
    rows = csv.reader((line.decode("utf-8-sig") for line in file), strict=True)
    try:
        header = next(rows, [])
        if id_column not in header:
            raise InputError(f"the header has no column '{id_column}'")
        for cells in rows:
            if not cells:
                continue
            if len(cells) != len(header):
                raise InputError(f"line {rows.line_num} has not as many cells as the header")
            texts = dict(zip(header, cells, strict=True))
            fields = {
                name: parse_cell(kinds[name], text) if name in kinds else (text or None)
                for name, text in texts.items()
                if name != id_column or name in kinds
            }
            yield FileRecord(_record_id(texts[id_column], rows.line_num, id_column), fields)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"line {rows.line_num + 1} is no CSV in UTF-8") from error


def read_json_lines(file: IO[bytes], schema: Schema | None, id_column: str) -> Iterator[FileRecord]:
    """Records of a JSON Lines file: one object a line; empty lines are skipped.

    Raises InputError naming the line that is no object.
    """
    keep = schema is not None and id_column in schema.names
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            fields = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"line {number} is no JSON object") from error
        value = fields.get(id_column) if keep else fields.pop(id_column, None)
        yield FileRecord(_record_id(value, number, id_column), fields)


def _record_id(value: Any, line: int, column: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value:
        return value
    raise InputError(f"line {line}: '{column}' must be a non-empty string or an integer")
