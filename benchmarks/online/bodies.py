"""The same records, as each server wants them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from scoring.manifest import ColumnSpec, Manifest

Records = list[dict[str, Any]]

_OPEN_INFERENCE: dict[str, str] = {
    "boolean": "BOOL", "integer": "INT32", "long": "INT64", "float": "FP32", "double": "FP64",
    "string": "BYTES",
}  # fmt: skip


def read_manifest(bundle: Path) -> Manifest:
    """The manifest, unverified."""
    return msgspec.json.decode((bundle / "manifest.json").read_bytes(), type=Manifest)


def known_records(bundle: Path, count: int) -> Records:
    """The first records of the bundle's reference, features only."""
    import pyarrow.parquet as pq

    manifest = read_manifest(bundle)
    names = [column.name for column in manifest.inputs]
    table = pq.read_table(bundle / "reference" / "reference.parquet", columns=names)
    records: Records = table.slice(0, count).to_pylist()
    return records


def as_array(records: Records) -> bytes:
    """For this project's `/predict` and the empty endpoints."""
    return msgspec.json.encode(records)


def as_dataframe_records(records: Records) -> bytes:
    """For `mlflow models serve`."""
    return msgspec.json.encode({"dataframe_records": records})


def as_open_inference(records: Records, inputs: Sequence[ColumnSpec]) -> bytes:
    """For MLServer: one tensor per column, read as a DataFrame."""
    tensors = [_tensor(column, [record[column.name] for record in records]) for column in inputs]
    return msgspec.json.encode({"parameters": {"content_type": "pd"}, "inputs": tensors})


def _tensor(column: ColumnSpec, values: list[Any]) -> dict[str, Any]:
    tensor: dict[str, Any] = {
        "name": column.name,
        "shape": [len(values)],
        "datatype": _OPEN_INFERENCE[column.type],
        "data": values,
    }
    if column.type == "string":
        tensor["parameters"] = {"content_type": "str"}
    return tensor
