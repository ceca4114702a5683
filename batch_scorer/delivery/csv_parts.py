"""Part files as CSV: RFC 4180 in UTF-8 with a header.

Text stands in quotes, so that an empty one is no null, which is an empty cell. A double is the
shortest text that reads back to the same bits, a boolean `true` or `false`, a list JSON.
"""

import io
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.csv as pc

# More rows at once leave the caches.
_ROWS_AT_ONCE: Final = 8192


def csv_bytes(table: pa.Table) -> bytes:
    """A table as one CSV file; the same table gives the same bytes."""
    for place, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            texts = [_json(value) for value in table.column(place).to_pylist()]
            table = table.set_column(place, field.name, pa.array(texts, pa.string()))
    sink = io.BytesIO()
    pc.write_csv(table, sink, pc.WriteOptions(batch_size=_ROWS_AT_ONCE))
    return _with_carriage_returns(sink.getvalue(), table.num_rows + 1)


def _json(value: object) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _with_carriage_returns(text: bytes, lines: int) -> bytes:
    """Arrow ends lines with a line feed alone. One within quotes belongs to a cell and stays."""
    if text.count(b"\n") == lines:
        return text.replace(b"\n", b"\r\n")
    pieces = text.split(b'"')
    pieces[::2] = [outside.replace(b"\n", b"\r\n") for outside in pieces[::2]]
    return b'"'.join(pieces)
