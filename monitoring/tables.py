"""The drift tables: their columns, and their rows as Parquet in storage.

`drift/DriftMetrics_CL/model=<name>/version=<v>/window=<hour>.parquet` has one row per lane, column
and method, `drift/DriftReports_CL/...` one per lane. The reports file of a window is written last:
where it exists, the window is done. `TimeGenerated` is when the row was made; query `WindowStart`.
"""

import io
import re
import types
import typing
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.parquet_log import parquet_bytes
from adapters.storage import Storage
from monitoring.windows import Window
from scoring.records import ModelVersion

METRICS = "DriftMetrics_CL"
REPORTS = "DriftReports_CL"
ALL_LANES = "all"

_ROOT = "drift"
_FILE = re.compile(r"/window=(\d{4}-\d{2}-\d{2}T\d{2})\.parquet$")
_ARROW: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime: pa.timestamp("us", tz="UTC"),
}


class RowKeys(msgspec.Struct, frozen=True, rename="pascal", kw_only=True):
    """What every row of the drift tables begins with."""

    time_generated: datetime
    window_start: datetime
    window_end: datetime
    row_id: str
    run_id: str
    model_name: str
    model_version: str
    reference_id: str
    lane: str
    segment: str


class MetricRow(RowKeys, frozen=True, rename="pascal", kw_only=True):
    """One verdict. Encoded, the names are the table's columns (`row_id` is RowId)."""

    feature: str
    feature_type: str
    role: str
    method: str
    status: str
    revision: int
    score: float | None
    p_value: float | None
    p_value_adj: float | None
    threshold: float
    missing_share: float | None
    missing_share_ref: float | None
    new_category_share: float | None
    out_of_range_share: float | None
    current_count: int
    reference_count: int
    details: str


class ReportRow(RowKeys, frozen=True, rename="pascal", kw_only=True):
    """The summary of one lane's verdicts, or of all lanes' together (`lane` is "all")."""

    revision: int
    row_count: int
    late_rows: int
    rejected_rows: int
    duration_ms: int
    features_tested: int
    features_drifted: int
    drifted_share: float | None
    prediction_drift: bool | None
    status: str
    policy_version: str
    report_uri: str | None
    code_version: str


Row = TypeVar("Row", MetricRow, ReportRow)

_TABLES: dict[type[MetricRow | ReportRow], str] = {MetricRow: METRICS, ReportRow: REPORTS}


def arrow_schema(kind: type[MetricRow] | type[ReportRow]) -> pa.Schema:
    """The Parquet schema of a table, read from its row type."""
    hints = typing.get_type_hints(kind)
    return pa.schema([_field(f.encode_name, hints[f.name]) for f in msgspec.structs.fields(kind)])


def write_rows(
    storage: Storage, model: ModelVersion, window: Window, kind: type[Row], rows: Sequence[Row]
) -> None:
    """Write one table's rows of a window, replacing any. Blocks; raises StorageUnavailable."""
    schema = arrow_schema(kind)
    columns = [
        pa.array([getattr(row, f.name) for row in rows], schema.field(f.encode_name).type)
        for f in msgspec.structs.fields(kind)
    ]
    table = pa.Table.from_arrays(columns, schema=schema)
    storage.write(_path(kind, model, window), parquet_bytes(table))


def done_windows(storage: Storage, model: ModelVersion) -> set[Window]:
    """Windows whose reports file exists. Blocks; raises StorageUnavailable."""
    return {window for window, _ in _files(storage, ReportRow, model)}


def latest_report(storage: Storage, model: ModelVersion) -> ReportRow | None:
    """The newest window's summary over all lanes. Blocks; raises StorageUnavailable."""
    done = done_windows(storage, model)
    if not done:
        return None
    (row,) = _rows(storage, _path(ReportRow, model, max(done)), ReportRow, ALL_LANES)
    return row


def read_reports(
    storage: Storage, model: str, version: str, lane: str = ALL_LANES
) -> list[ReportRow]:
    """All report rows of a model version and lane, oldest window first.

    Reads every file of the table. Raises StorageUnavailable.
    """
    return _read(storage, ModelVersion(model, version, ""), ReportRow, lane)


def read_metrics(
    storage: Storage, model: str, version: str, lane: str = ALL_LANES
) -> list[MetricRow]:
    """All metric rows of a model version and lane: oldest window first, then the model's order.

    Reads every file of the table. Raises StorageUnavailable.
    """
    return _read(storage, ModelVersion(model, version, ""), MetricRow, lane)


def report_path(model: ModelVersion, window: Window) -> str:
    """Where the window's HTML report lies."""
    return f"{_ROOT}/reports/model={model.name}/version={model.version}/window={window.name}.html"


def _read(storage: Storage, model: ModelVersion, kind: type[Row], lane: str) -> list[Row]:
    rows: list[Row] = []
    for _, path in _files(storage, kind, model):
        rows += _rows(storage, path, kind, lane)
    return rows


def _files(
    storage: Storage, kind: type[MetricRow] | type[ReportRow], model: ModelVersion
) -> list[tuple[Window, str]]:
    """A table's files, oldest window first."""
    paths = [info.path for info in storage.list(_directory(kind, model))]
    return sorted((Window.named(m[1]), p) for p in paths if (m := _FILE.search(p)))


def _rows(storage: Storage, path: str, kind: type[Row], lane: str) -> list[Row]:
    table = pq.read_table(io.BytesIO(storage.read(path)))
    return [msgspec.convert(row, kind) for row in table.to_pylist() if row["Lane"] == lane]


def _directory(kind: type[MetricRow] | type[ReportRow], model: ModelVersion) -> str:
    return f"{_ROOT}/{_TABLES[kind]}/model={model.name}/version={model.version}"


def _path(kind: type[MetricRow] | type[ReportRow], model: ModelVersion, window: Window) -> str:
    return f"{_directory(kind, model)}/window={window.name}.parquet"


def _field(name: str, hint: Any) -> pa.Field:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    (kind,) = [option for option in options if option is not type(None)]
    return pa.field(name, _ARROW[kind], nullable=type(None) in options)
