"""Records of the toy model as files of three formats."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

FIELDS = pa.schema(
    [("record_id", pa.string()), ("x", pa.float64()), ("n", pa.float64()), ("flag", pa.bool_()),
     ("name", pa.string())]
)  # fmt: skip


def as_csv(rows: Sequence[dict[str, Any]]) -> bytes:
    """Rows with a header."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(FIELDS.names)
    for row in rows:
        cells = [row[name] for name in FIELDS.names]
        writer.writerow(["" if c is None else str(c).lower() if c in (0, 1) else c for c in cells])
    return text.getvalue().encode()


def as_jsonl(rows: Sequence[dict[str, Any]]) -> bytes:
    """One object a line."""
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def as_parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    """Typed columns."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=FIELDS), sink)
    return sink.getvalue()


def with_ids(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records with ids from 1."""
    return [{"record_id": str(i), **row} for i, row in enumerate(rows, 1)]


def as_floats(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same records with `n` as a float, the type FIELDS gives it."""
    return [{**row, "n": float(row["n"])} for row in rows]
