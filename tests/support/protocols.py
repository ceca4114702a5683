"""The same records in the forms of MLflow's scoring protocol and of the Open Inference Protocol."""

import csv
import io
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from online_api.protocols.open_inference_tensors import BYTES, DATATYPES

CSV = {"content-type": "text/csv"}
Record = Mapping[str, Any]
Tensor = dict[str, Any]


def mlflow_forms(rows: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """Records of the same fields in every JSON form; arrays are in the order of the fields."""
    names = list(rows[0])
    arrays = [[row[name] for name in names] for row in rows]
    columns = {name: [row[name] for row in rows] for name in names}
    return {
        "split": {"dataframe_split": {"columns": names, "data": arrays}},
        "split with index": {"dataframe_split": {"index": [7], "columns": names, "data": arrays}},
        "records": {"dataframe_records": rows},
        "instances": {"instances": rows},
        "instances of arrays": {"instances": arrays},
        "inputs": {"inputs": columns},
        "inputs of arrays": {"inputs": arrays},
    }


def as_csv(rows: Sequence[Record], index: bool = False) -> bytes:
    """A header and the rows; with the column without a name that pandas writes."""
    text = io.StringIO()
    writer = csv.writer(text)
    before: list[Any] = [""] if index else []
    writer.writerow([*before, *rows[0]])
    for number, row in enumerate(rows):
        cells = [as_cell(row[name]) for name in rows[0]]
        writer.writerow([*([number] if index else []), *cells])
    return text.getvalue().encode()


def as_cell(value: Any) -> str:
    """Text as it is, null as nothing, the rest as JSON spells it."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def tensor(name: str, values: Sequence[Any], datatype: str, *shape: int) -> Tensor:
    """A tensor with its data in the JSON; one column unless a shape is given."""
    wanted = list(shape or (len(values),))
    return {"name": name, "shape": wanted, "datatype": datatype, "data": list(values)}


def natural(values: Sequence[Any]) -> str | None:
    """The datatype of a column of values of one kind, nulls aside; None when there is none."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool}:
        return "BOOL"
    if kinds == {int}:
        whole = [value for value in values if value is not None]
        if all(-(2**63) <= value < 2**63 for value in whole):
            return "INT64"
        return "UINT64" if all(0 <= value < 2**64 for value in whole) else None
    return {frozenset({float}): "FP64", frozenset({str}): BYTES}.get(frozenset(kinds))


def column_tensors(rows: Sequence[Record]) -> list[Tensor]:
    """Records with the same fields as a tensor per field."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    found = []
    for name, values in columns.items():
        datatype = natural(values)
        assert datatype is not None
        found.append(tensor(name, values, datatype))
    return found


def text_matrix(rows: Sequence[Record], name: str = "rows") -> Tensor:
    """Complete records as one tensor of text."""
    cells = [as_cell(row[field]) for row in rows for field in rows[0]]
    return tensor(name, cells, BYTES, len(rows), len(rows[0]))


def as_binary(tensors: Sequence[Tensor], **members: Any) -> tuple[bytes, dict[str, str]]:
    """A body whose tensors follow the JSON as bytes, and its headers."""
    heads, chunks = [], []
    for one in tensors:
        chunk = to_bytes(one["data"], one["datatype"])
        head = {name: value for name, value in one.items() if name != "data"}
        heads.append({**head, "parameters": {"binary_data_size": len(chunk)}})
        chunks.append(chunk)
    text = json.dumps({"inputs": heads, **members}).encode()
    headers = {"inference-header-content-length": str(len(text))}
    return b"".join([text, *chunks]), headers


def to_bytes(values: Sequence[Any], datatype: str) -> bytes:
    """Little-endian, and text after its length."""
    if datatype != BYTES:
        return np.array(values, DATATYPES[datatype]).tobytes()
    texts = [value.encode() for value in values]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)
