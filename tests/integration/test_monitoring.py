"""From the inference log that the lanes write to verdicts, tables and reports."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.log_analytics import LogAnalytics, Retries
from adapters.parquet_log import ParquetInferenceLog, log_table, partition
from adapters.storage import Storage, open_storage
from monitoring.metrics import MonitorMetrics
from monitoring.reference import load_reference
from monitoring.settings import MonitorSettings
from monitoring.tables import (
    MetricRow,
    ReportRow,
    done_windows,
    read_metrics,
    read_reports,
)
from monitoring.watcher import Outputs, Render, Span, Watcher
from monitoring.windows import HOUR
from monitoring.worker import watch
from scoring.errors import BundleError, ConfigurationError, ServiceUnavailable
from scoring.inference_log import Lane
from scoring.model import ModelBundle
from tests.support.drift import POLICY_FILE, shipped_policy
from tests.support.log_entries import INVALID, entries
from tests.support.log_ingestion import log_ingestion
from tests.support.toy import load_toy, make_bundle, records

ROOT = Path(__file__).parents[2]
START = datetime(2026, 3, 2, 8, tzinfo=UTC)
LATER = START + timedelta(days=1)


def shifted(count: int, seed: int) -> list[dict[str, Any]]:
    """Records with a higher `x` and a job `name` that training never saw."""
    rows = records(count, seed)
    for row in rows:
        row["x"] += 0.5
        if row["n"] == 3:
            row["name"] = "a secret name"
    return rows


@dataclass
class Place:
    """A model, the storage its lanes log to, and a watcher of both."""

    bundle: Path
    model: ModelBundle
    storage: Storage
    root: Path

    @property
    def log(self) -> ParquetInferenceLog:
        """The log that lanes write."""
        return ParquetInferenceLog(self.storage, self.model)

    def put(
        self, rows: Sequence[Any], hour: int, lane: Lane = "stream", request: str | None = None
    ) -> None:
        """Log the scores of some records, with an event time so many hours after START."""
        name = request or f"{lane}-{hour}"
        batch = entries(self.model, rows, name, START + hour * HOUR + timedelta(minutes=30))
        self.log.append(replace(batch, lane=lane))

    def watcher(
        self,
        now: datetime = LATER,
        log_analytics: LogAnalytics | None = None,
        render: Render | None = None,
        metrics: MonitorMetrics | None = None,
    ) -> Watcher:
        """A watcher with the shipped policy, at a fixed time."""
        policy = shipped_policy()
        return Watcher(
            load_reference(self.bundle, policy.profile),
            policy,
            Span(timedelta(minutes=5)),
            Outputs(self.storage, log_analytics, render),
            metrics or MonitorMetrics("toy", "7"),
            lambda: now,
            "1.2.3",
        )

    def reports(self, lane: str = "all") -> list[ReportRow]:
        """All summaries so far."""
        return read_reports(self.storage, "toy", "7", lane)

    def drifted(self, lane: str = "all") -> set[tuple[datetime, str]]:
        """Every column with a drift verdict, with its window's start."""
        rows = read_metrics(self.storage, "toy", "7", lane)
        return {(row.window_start, row.feature) for row in rows if row.status == "drift"}

    def files(self) -> dict[str, str]:
        """What lies under drift/, with a tag that changes when a file is written again."""
        return {info.path: info.etag for info in self.storage.list("drift")}


def place(root: Path) -> Place:
    """An empty storage beside a toy bundle."""
    storage = open_storage(str(root / "storage"))
    return Place(root / "bundle", load_toy(root / "bundle"), storage, root)


@pytest.fixture
def toy(tmp_path: Path) -> Place:
    """A place of one's own."""
    return place(tmp_path)


def command(where: Place, *flags: str) -> list[str]:
    """`python -m monitoring` on a place."""
    settings = ["--bundle", str(where.bundle), "--storage-url", str(where.root / "storage")]
    return [sys.executable, "-m", "monitoring", *settings, *flags]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A normal hour in two lanes, an hour of silence and a shifted hour, watched by the command."""
    where = place(tmp_path_factory.mktemp("watched"))
    where.put(records(600, 5), 0, "stream")
    where.put([*records(500, 6), INVALID, INVALID], 0, "online")
    where.put(shifted(1000, 7), 2)
    done = subprocess.run(
        command(where, "--once", "--code-version", "1.2.3"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count('"message": "window 2026-03-02T') == 3
    assert "1000 rows, drift, drifted: x, name" in done.stderr
    return where


def test_a_normal_hour_is_ok_and_a_shifted_one_names_what_shifted(watched: Place) -> None:
    """Exactly the features that were shifted are named, the silent hour is reported as such."""
    assert [r.status for r in watched.reports()] == ["ok", "insufficient_data", "drift"]
    assert watched.drifted() == {(START + 2 * HOUR, "x"), (START + 2 * HOUR, "name")}


def test_the_summary_counts_what_was_logged(watched: Place) -> None:
    """Rows are scored plus rejected; features, share, versions and page are stated."""
    normal, silent, changed = watched.reports()
    assert (normal.row_count, normal.rejected_rows, normal.features_drifted) == (1102, 2, 0)
    assert (silent.row_count, silent.features_tested, silent.report_uri) == (0, 0, None)
    assert (changed.row_count, changed.features_tested, changed.features_drifted) == (1000, 4, 2)
    assert changed.drifted_share == 0.5
    assert changed.policy_version == shipped_policy().policy_version
    assert changed.code_version == "1.2.3"
    assert changed.late_rows == changed.revision == 0
    assert (changed.window_start, changed.window_end) == (START + 2 * HOUR, START + 3 * HOUR)
    reference = watched.model.manifest.reference
    assert reference is not None
    assert changed.reference_id == watched.model.manifest.files[reference.path]


def test_every_lane_has_rows_of_its_own(watched: Place) -> None:
    """Beside all lanes together, each lane that logged is judged by itself."""
    assert [r.row_count for r in watched.reports("stream")] == [600, 1000]
    assert [r.row_count for r in watched.reports("online")] == [502]
    assert watched.drifted("stream") == watched.drifted()


def test_the_page_needs_no_network(watched: Place) -> None:
    """The HTML has every verdict in it, no value of a record, and loads nothing."""
    uri = watched.reports()[2].report_uri
    assert uri is not None
    page = Path(uri.removeprefix("file://")).read_text()
    tags = re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)\s*=[^>]*", page)
    assert tags == []
    assert re.findall(r"@import\s*['\"]?\w*:?//|url\((?!data:)[^)]*//", page) == []
    for row in read_metrics(watched.storage, "toy", "7"):
        if row.window_start == START + 2 * HOUR:
            assert row.details in page
    assert "toy version 7, hour from 2026-03-02 10:00 UTC" in page
    assert "a secret name" not in page


def test_a_window_is_reported_once(watched: Place) -> None:
    """A second look finds nothing to do and touches no file."""
    before = watched.files()
    assert len(before) == 3 + 3 + 2
    assert list(watched.watcher().run()) == []
    assert watched.files() == before


def test_an_open_hour_waits(toy: Place) -> None:
    """Before its end plus the grace an hour has no report, then it has one."""
    toy.put(records(600), 0)
    assert list(toy.watcher(START + timedelta(minutes=64)).run()) == []
    assert len(list(toy.watcher(START + timedelta(minutes=65)).run())) == 1


def test_entries_that_were_logged_twice_count_once(toy: Place) -> None:
    """Redelivered entries under the same ids change nothing, however they are grouped."""
    rows = [*records(300), INVALID]
    toy.put(rows, 0, request="r")
    batch = entries(toy.model, rows, "r", START + timedelta(minutes=30))
    again = log_table(toy.model.schema, toy.model.output_columns, replace(batch, lane="stream"))
    toy.log.write_table(again.slice(0, 100))
    toy.log.write_table(again.slice(50))
    assert len(toy.storage.list("inference-log")) == 3
    (report,) = toy.watcher().run()
    assert (report.row_count, report.rejected_rows) == (301, 1)


def test_a_record_that_was_scored_in_the_end_is_no_rejection(toy: Place) -> None:
    """One id rejected first and scored later counts as scored."""
    toy.put([INVALID, *records(3)], 0, request="r")
    toy.put(records(5), 0, request="r")
    assert len(toy.storage.list("inference-log")) == 2
    (report,) = toy.watcher().run()
    assert (report.row_count, report.rejected_rows) == (5, 0)


def test_a_few_records_are_not_judged(toy: Place) -> None:
    """An hour of 100 records is reported without a verdict and without a page."""
    toy.put(shifted(100, 1), 0)
    (report,) = toy.watcher(render=lambda *_: b"page").run()
    assert (report.status, report.row_count) == ("insufficient_data", 100)
    assert report.prediction_drift is None
    assert report.report_uri is None
    assert {r.status for r in read_metrics(toy.storage, "toy", "7")} == {"insufficient_data"}


def test_a_damaged_file_is_an_error_of_its_window_only(toy: Place) -> None:
    """What can be read is judged, the window says error, and the next one is not held up."""
    toy.put(records(600, 5), 0)
    toy.storage.write(f"{partition(toy.model.version, START)}/part-bad.parquet", b"PAR1 junk")
    toy.put(records(600, 6), 1)
    first, second = toy.watcher().run()
    assert (first.status, first.row_count) == ("error", 600)
    assert second.status == "ok"


def test_a_file_without_a_column_is_an_error_of_that_column(toy: Place) -> None:
    """The other columns of the window are judged as always."""
    batch = entries(toy.model, records(600, 5), "r", START)
    table = log_table(toy.model.schema, toy.model.output_columns, batch)
    toy.log.write_table(table.drop_columns(["n"]))
    (report,) = toy.watcher().run()
    assert report.status == "error"
    rows = read_metrics(toy.storage, "toy", "7")
    assert {r.feature for r in rows if r.status == "error"} == {"n"}
    assert {r.status for r in rows if r.feature != "n"} == {"ok"}


def test_a_page_that_cannot_be_rendered_costs_no_verdict(toy: Place) -> None:
    """The tables are written without it."""

    def broken(_report: ReportRow, _metrics: Sequence[MetricRow]) -> bytes:
        raise ZeroDivisionError

    toy.put(shifted(600, 5), 0)
    (report,) = toy.watcher(render=broken).run()
    assert (report.status, report.report_uri) == ("drift", None)


@pytest.fixture
def quick() -> Retries:
    """Retries without noticeable pauses."""
    return Retries(times=1, backoff_seconds=0.0)


def test_log_analytics_gets_the_same_rows(toy: Place, quick: Retries) -> None:
    """Every row of both tables arrives under its stream, in the tables' order."""
    toy.put(shifted(600, 5), 0)
    with log_ingestion() as service:
        sink = LogAnalytics(service.endpoint, "dcr-1", quick)
        list(toy.watcher(log_analytics=sink).run())
        sink.close()
    metrics = service.rows["Custom-DriftMetrics_CL"]
    for lane in ("all", "stream"):
        stored = read_metrics(toy.storage, "toy", "7", lane)
        arrived = [row for row in metrics if row["Lane"] == lane]
        assert [r["RowId"] for r in arrived] == [r.row_id for r in stored]
        assert [r["Details"] for r in arrived] == [r.details for r in stored]
    reports = service.rows["Custom-DriftReports_CL"]
    assert [r["Lane"] for r in reports] == ["all", "stream"]
    assert reports[0]["RowId"] == toy.reports()[0].row_id


@pytest.mark.parametrize("failures", [[403], [204, 403]], ids=["metrics", "reports"])
def test_a_window_that_was_not_accepted_is_tried_again(
    toy: Place, quick: Retries, failures: list[int]
) -> None:
    """It is not done before Log Analytics has it; then it has the same ids again."""
    toy.put(records(600), 0)
    with log_ingestion(failures) as service:
        sink = LogAnalytics(service.endpoint, "dcr-1", quick)
        watcher = toy.watcher(log_analytics=sink)
        with pytest.raises(ServiceUnavailable):
            list(watcher.run())
        assert done_windows(toy.storage, toy.model.version) == set()
        assert len(list(watcher.run())) == 1
        sink.close()
    stored = {r.row_id for lane in ("all", "stream") for r in toy.reports(lane)}
    assert {r["RowId"] for r in service.rows["Custom-DriftReports_CL"]} == stored


def test_metrics_show_lag_and_drift(toy: Place) -> None:
    """The gauges follow the windows, and a new process finds the last figures again."""
    metrics = MonitorMetrics("toy", "7")
    toy.put(shifted(600, 5), 0)
    runs = toy.watcher(metrics=metrics).run()
    next(runs)
    labels = '{model="toy",version="7"}'
    assert f"trilane_window_lag_seconds{labels} 82800.0" in metrics.render().decode()
    assert list(runs) == []
    assert f"trilane_window_lag_seconds{labels} 0.0" in metrics.render().decode()
    assert f"trilane_drift_features{labels} 2.0" in metrics.render().decode()
    restarted = MonitorMetrics("toy", "7")
    toy.watcher(metrics=restarted).restore_metrics()
    assert f"trilane_drift_features{labels} 2.0" in restarted.render().decode()


def test_a_tampered_reference_is_refused(toy: Place) -> None:
    """The error names the file."""
    path = toy.bundle / "reference" / "reference.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(BundleError, match=r"reference\.parquet does not match its digest"):
        toy.watcher()


def test_a_bundle_without_a_reference_is_refused(tmp_path: Path) -> None:
    """There is nothing to compare with."""
    bundle = make_bundle(tmp_path / "bundle", reference=0)
    with pytest.raises(BundleError, match="has no reference"):
        load_reference(bundle, shipped_policy().profile)


def test_half_of_the_log_analytics_settings_is_refused(toy: Place) -> None:
    """Endpoint and rule belong together."""
    settings = MonitorSettings(
        bundle=toy.bundle, policy=POLICY_FILE, logs_ingestion_endpoint="https://example.org"
    )
    with pytest.raises(ConfigurationError, match="TRILANE_LOGS_INGESTION_RULE_ID"):
        watch(settings)


def test_the_worker_imports_no_model_and_no_evidently() -> None:
    """What watches needs neither until it renders a page."""
    heavy = "evidently mlflow onnxruntime sklearn pandas azure"
    code = (
        f"import sys, monitoring.worker; print([n for n in '{heavy}'.split() if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.fixture
def worker(toy: Place) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The worker as a process, with the address of its probes."""
    toy.put(shifted(600, 5), 0)
    process = subprocess.Popen(
        command(toy, "--no-html-reports", "--probe-port", "0", "--interval-seconds", "0.2"),
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    port = None
    for line in process.stderr:
        found = re.search(r'"probe_port": (\d+)', line)
        port = found[1] if found else port
        if '"message": "ready"' in line:
            break
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_the_worker_answers_probes_and_stops_on_sigterm(
    toy: Place, worker: tuple[subprocess.Popen[str], str]
) -> None:
    """It reports, is live and ready, shows its metrics, picks up a new hour, and exits 0."""
    process, address = worker
    assert [r.status for r in toy.reports()] == ["drift"]
    for path in ("/livez", "/readyz", "/model"):
        with urllib.request.urlopen(f"{address}{path}", timeout=5) as answer:  # noqa: S310
            assert answer.status == 200
    with urllib.request.urlopen(f"{address}/metrics", timeout=5) as answer:  # noqa: S310
        assert 'trilane_drift_features{model="toy",version="7"} 2.0' in answer.read().decode()
    toy.put(records(600, 6), 1)
    deadline = time.monotonic() + 10
    while len(toy.reports()) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [r.status for r in toy.reports()] == ["drift", "ok"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
