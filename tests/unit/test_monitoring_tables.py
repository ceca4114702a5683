"""The drift tables have the columns that queries rely on."""

import math
from datetime import UTC, datetime

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from adapters.storage import Storage, open_storage
from monitoring.drift import judge, summarize
from monitoring.rows import Run, metric_rows, report_row
from monitoring.tables import (
    MetricRow,
    ReportRow,
    arrow_schema,
    done_windows,
    latest_report,
    read_metrics,
    read_reports,
    write_rows,
)
from monitoring.windows import HOUR, Window
from scoring.records import ModelVersion
from tests.support.drift import entries_from, reference_from, shipped_policy

METRIC_COLUMNS = (
    "TimeGenerated WindowStart WindowEnd RowId RunId ModelName ModelVersion ReferenceId Lane "
    "Segment Feature FeatureType Role Method Status Revision Score PValue PValueAdj Threshold "
    "MissingShare MissingShareRef NewCategoryShare OutOfRangeShare CurrentCount ReferenceCount "
    "Details"
)
REPORT_COLUMNS = (
    "TimeGenerated WindowStart WindowEnd RowId RunId ModelName ModelVersion ReferenceId Lane "
    "Segment Revision RowCount LateRows RejectedRows DurationMs FeaturesTested FeaturesDrifted "
    "DriftedShare PredictionDrift Status PolicyVersion ReportUri CodeVersion"
)

Rows = tuple[list[MetricRow], ReportRow]

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
WINDOW = Window(datetime(2026, 3, 2, 11, tzinfo=UTC))
MODEL = ModelVersion("toy", "7", "digest")


def made_rows(window: Window = WINDOW, lane: str = "all", seed: int = 1) -> Rows:
    """Rows of one window of a model with one feature."""
    policy = shipped_policy()
    rng = np.random.default_rng(seed)
    columns = {"x": rng.normal(size=600), "score": rng.random(600)}
    reference = reference_from(columns, policy)
    entries = entries_from(reference, columns)
    verdicts = judge(reference, entries, policy)
    run = Run(reference, window, policy.policy_version, "1.2.3", NOW)
    report = report_row(run, lane, entries, summarize(verdicts, False))
    return metric_rows(run, lane, verdicts), report


@pytest.fixture
def storage(request: pytest.FixtureRequest) -> Storage:
    """An empty storage in memory."""
    return open_storage(f"memory://{request.node.name}")


def test_the_columns_are_the_published_ones() -> None:
    """Names and order, in Parquet and in what Log Analytics gets."""
    assert " ".join(arrow_schema(MetricRow).names) == METRIC_COLUMNS
    assert " ".join(arrow_schema(ReportRow).names) == REPORT_COLUMNS
    metrics, report = made_rows()
    assert " ".join(msgspec.json.decode(msgspec.json.encode(metrics[0]))) == METRIC_COLUMNS
    assert " ".join(msgspec.json.decode(msgspec.json.encode(report))) == REPORT_COLUMNS


def test_column_names_are_ones_that_log_analytics_takes() -> None:
    """Letters, digits and underscores, 45 characters at most, a letter first."""
    for name in f"{METRIC_COLUMNS} {REPORT_COLUMNS}".split():
        assert name.isidentifier()
        assert name[0].isalpha()
        assert len(name) <= 45


def test_rows_come_back_as_written(storage: Storage) -> None:
    """What was written is read: the lane asked for, oldest window first."""
    earlier = Window(WINDOW.start - HOUR)
    for window in (WINDOW, earlier):
        everyone, online = made_rows(window), made_rows(window, "online")
        write_rows(storage, MODEL, window, MetricRow, [*everyone[0], *online[0]])
        write_rows(storage, MODEL, window, ReportRow, [everyone[1], online[1]])
    for lane in ("all", "online"):
        expected = [made_rows(window, lane) for window in (earlier, WINDOW)]
        assert read_metrics(storage, "toy", "7", lane) == [row for m, _ in expected for row in m]
        assert read_reports(storage, "toy", "7", lane) == [report for _, report in expected]
    assert latest_report(storage, MODEL) == made_rows()[1]
    assert read_reports(storage, "toy", "7", "batch") == []


def test_a_window_is_done_when_its_reports_are_written(storage: Storage) -> None:
    """Metric rows alone do not make a window done."""
    metrics, report = made_rows()
    assert latest_report(storage, MODEL) is None
    write_rows(storage, MODEL, WINDOW, MetricRow, metrics)
    assert done_windows(storage, MODEL) == set()
    write_rows(storage, MODEL, WINDOW, ReportRow, [report])
    storage.write("drift/DriftReports_CL/model=toy/version=7/notes.txt", b"")
    assert done_windows(storage, MODEL) == {WINDOW}
    assert done_windows(storage, ModelVersion("toy", "70", "digest")) == set()


def test_tables_are_plain_parquet(storage: Storage) -> None:
    """Times are UTC, a verdict without a p value has a null there."""
    write_rows(storage, MODEL, WINDOW, MetricRow, made_rows()[0])
    path = "drift/DriftMetrics_CL/model=toy/version=7/window=2026-03-02T11.parquet"
    with storage.open(path) as file:
        table = pq.read_table(file)
    assert str(table.schema.field("WindowStart").type) == "timestamp[us, tz=UTC]"
    by_method = {row["Method"]: row for row in table.to_pylist()}
    assert by_method["out_of_range"]["PValue"] is None
    assert by_method["ks_w1"]["PValue"] == 1.0


def test_ids_repeat_for_the_same_window_and_differ_otherwise() -> None:
    """A row has one id however often it is made; another window, lane or method has another."""
    ids = [row.row_id for row in made_rows()[0]]
    assert [row.row_id for row in made_rows(seed=2)[0]] == ids
    others = made_rows(Window(WINDOW.start + HOUR))[0] + made_rows(lane="online")[0]
    assert len({*ids, *(row.row_id for row in others)}) == len(ids) * 3
    assert {row.run_id for row in made_rows()[0]} == {made_rows()[1].run_id}


def test_rows_encode_as_json_that_the_service_takes() -> None:
    """Not a number becomes null, a time ISO 8601 with its zone."""
    row = msgspec.structs.replace(made_rows()[0][0], score=math.nan)
    found = msgspec.json.decode(msgspec.json.encode(row))
    assert found["Score"] is None
    assert found["WindowStart"] == "2026-03-02T11:00:00Z"
