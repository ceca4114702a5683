"""The inference log as Parquet files in storage: written by every lane, read by monitoring.

`inference-log/model=<name>/version=<v>/date=<d>/hour=<h>/part-<hash>.parquet`, partitioned by the
hour of the event time in UTC. The hash is that of the entry ids, so a repeat replaces its file.
Beside them may lie references to entries that are not written again (`adapters.log_references`).
"""

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.arrow_types import ARROW_TYPES
from adapters.storage import Storage
from scoring.inference_log import KEY_COLUMNS, OUTLIER_COLUMN, SCHEMA_VERSION, LogBatch, LogLayout
from scoring.manifest import OutputColumn
from scoring.model import ModelDescription
from scoring.records import Column, ModelVersion
from scoring.schema import Schema

ROOT = "inference-log"

_TIMESTAMP = pa.timestamp("us", tz="UTC")
_KEY_TYPES: Mapping[str, pa.DataType] = {
    "int32": pa.int32(),
    "string": pa.string(),
    "timestamp": _TIMESTAMP,
}
OUTPUT_TYPES: Mapping[str, pa.DataType] = {
    "double": pa.float64(),
    "long": pa.int64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
}


class ParquetInferenceLog:
    """An `InferenceLog` that writes one file per hour of event time and append. Thread-safe."""

    def __init__(self, storage: Storage, model: ModelDescription) -> None:
        """`storage` is the root that holds inference-log/."""
        self._storage = storage
        self._model = model

    def append(self, entries: LogBatch) -> None:
        """Write the entries; blocks on storage. Raises StorageUnavailable."""
        if len(entries):
            self.write_table(log_table(self._model.schema, self._model.output_columns, entries))

    def write_table(self, table: pa.Table) -> None:
        """Write entries that are a table already; one file per hour of event time."""
        for hour, part in _by_hour(table):
            path = f"{partition(self._model.version, hour)}/part-{_digest(part)}.parquet"
            self._storage.write(path, parquet_bytes(part))


def partition(version: ModelVersion, hour: datetime) -> str:
    """The directory of a model version's entries of one hour (UTC)."""
    return (
        f"{ROOT}/model={version.name}/version={version.version}/date={hour:%Y-%m-%d}/hour={hour:%H}"
    )


def log_schema(schema: Schema, outputs: Sequence[OutputColumn]) -> pa.Schema:
    """The Arrow schema of one model's inference log."""
    layout = LogLayout.of(schema, outputs)
    fields = [pa.field(name, _KEY_TYPES[kind]) for name, kind in KEY_COLUMNS.items()]
    fields += [pa.field(layout.features[f.name], ARROW_TYPES[f.type]) for f in schema.features]
    fields += [pa.field(layout.outputs[c.name], OUTPUT_TYPES[c.type]) for c in outputs]
    fields.append(pa.field(OUTLIER_COLUMN, pa.float64()))
    return pa.schema(fields)


def log_table(schema: Schema, outputs: Sequence[OutputColumn], entries: LogBatch) -> pa.Table:
    """Entries as rows; a rejected record has null features and outputs."""
    scored, rejected = entries.scored, entries.rejected
    count, missing = len(entries), len(entries.rejected)
    version = scored.model
    request = entries.request_id
    keys: dict[str, Any] = {
        "schema_version": Same(SCHEMA_VERSION),
        "entry_id": entries.entry_ids,
        "record_id": [*scored.batch.record_ids, *(r.record_id for r in rejected)],
        "lane": Same(entries.lane),
        "request_id": Same(request) if isinstance(request, str) else request,
        "model_name": Same(version.name),
        "model_version": Same(version.version),
        "model_digest": Same(version.digest),
        "event_time": entries.event_times,
        "scored_at": Same(entries.scored_at),
        "outcome": ["scored"] * len(scored) + ["rejected"] * missing,
        "rejection_code": [None] * len(scored) + [str(r.code) for r in rejected],
    }
    target = log_schema(schema, outputs)
    columns = [key_array(keys[name], target.field(name).type, count) for name in KEY_COLUMNS]
    values = [*scored.batch.columns, *(scored.outputs[c.name] for c in outputs)]
    anomaly = scored.outlier_scores
    values.append(np.full(len(scored), np.nan) if anomaly is None else anomaly)
    for field, column in zip(list(target)[len(KEY_COLUMNS) :], values, strict=True):
        columns.append(value_array(column, missing, field.type))
    return pa.Table.from_arrays(columns, schema=target)


class Same(NamedTuple):
    """One value for all entries, which is quicker than a list of it."""

    value: Any


def key_array(values: Any, kind: pa.DataType, count: int) -> pa.Array:
    """A key column: one value per entry, or the `Same` for all."""
    if isinstance(values, Same):
        return pa.repeat(pa.scalar(values.value, kind), count)
    return pa.array(values, kind)


def arrow_array(column: Column, kind: pa.DataType) -> pa.Array:
    """A batch column as Arrow; None and NaN become null."""
    return pa.array(column, kind, from_pandas=True)


def value_array(column: Column | pa.Array, missing: int, kind: pa.DataType) -> pa.Array:
    """A column of scored entries, with nulls behind it for as many rejected ones."""
    values = column if isinstance(column, pa.Array) else arrow_array(column, kind)
    return pa.concat_arrays([values, pa.nulls(missing, kind)]) if missing else values


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as one Parquet file; the same table gives the same bytes."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _by_hour(table: pa.Table) -> Iterator[tuple[datetime, pa.Table]]:
    times = table["event_time"].cast(pa.int64()).to_numpy()
    hours = times // 3_600_000_000
    found = np.unique(hours)
    for hour in found:
        start = datetime.fromtimestamp(int(hour) * 3600, UTC)
        yield start, table if len(found) == 1 else table.filter(pa.array(hours == hour))


def _digest(table: pa.Table) -> str:
    joined = "\n".join(table["entry_id"].to_pylist())
    return hashlib.sha256(joined.encode()).hexdigest()[:24]
