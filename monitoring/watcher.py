"""One window after another: read, judge, render, store, upload, commit."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from adapters.log_analytics import LogAnalytics
from adapters.storage import Storage
from monitoring.drift import judge, summarize
from monitoring.entries import read_entries
from monitoring.metrics import MonitorMetrics
from monitoring.policy import Policy
from monitoring.reference import Reference
from monitoring.references import Resolver
from monitoring.rows import Run, metric_rows, report_row
from monitoring.tables import (
    ALL_LANES,
    METRICS,
    REPORTS,
    MetricRow,
    ReportRow,
    done_windows,
    latest_report,
    report_path,
    write_rows,
)
from monitoring.windows import Window, due_windows, logged_files

_log = logging.getLogger(__name__)

Clock = Callable[[], datetime]
Render = Callable[[ReportRow, Sequence[MetricRow]], bytes]


@dataclass(frozen=True, slots=True)
class Span:
    """Which windows are looked at: those that start in [since, until); None leaves a side open.

    A window is closed `grace` after its end.
    """

    grace: timedelta
    since: datetime | None = None
    until: datetime | None = None

    def __contains__(self, window: Window) -> bool:
        after = self.since is None or window.start >= self.since
        return after and (self.until is None or window.start < self.until)


@dataclass(frozen=True)
class Outputs:
    """Where results go: storage always, Log Analytics and HTML reports if there are any.

    The log is read from there too; `resolver` reads what it has by reference.
    """

    storage: Storage
    log_analytics: LogAnalytics | None
    render: Render | None
    resolver: Resolver | None = None


class Watcher:
    """Reports every closed window of one model version once.

    A window goes through these steps; what fails before the last is done again as a whole:
    1 read its entries, 2 judge them, 3 write the HTML report, 4 write the metric rows, 5 upload
    metric and report rows (which may so arrive twice, under the same RowId), 6 write the report
    rows, which marks the window as done.
    """

    def __init__(
        self,
        reference: Reference,
        policy: Policy,
        span: Span,
        outputs: Outputs,
        metrics: MonitorMetrics,
        clock: Clock,
        code_version: str,
    ) -> None:
        """`clock` returns the time in UTC, timezone-aware."""
        self._reference = reference
        self._policy = policy
        self._span = span
        self._outputs = outputs
        self._metrics = metrics
        self._clock = clock
        self._code_version = code_version

    def due(self) -> dict[Window, list[str]]:
        """Windows to report now with their files, in order. Blocks; raises StorageUnavailable."""
        storage, model = self._outputs.storage, self._reference.model
        files = logged_files(storage, model)
        wanted = due_windows(
            files,
            done_windows(storage, model),
            self._clock(),
            self._span.grace,
            timedelta(hours=self._policy.max_gap_hours),
        )
        return {window: files.get(window, []) for window in wanted if window in self._span}

    def run(self) -> Iterator[ReportRow]:
        """Report every due window and yield its summary over all lanes, oldest first.

        Raises TransientError when storage or Log Analytics fails; windows yielded so far are done.
        """
        due = self.due()
        for window, files in due.items():
            self._metrics.lag((self._clock() - window.end).total_seconds())
            yield self._report(window, files)
        self._metrics.lag(0.0)

    def restore_metrics(self) -> None:
        """Show the latest report's figures again. Blocks; raises StorageUnavailable."""
        latest = latest_report(self._outputs.storage, self._reference.model)
        if latest is not None:
            self._metrics.drifted(latest.features_drifted)

    def _report(self, window: Window, files: Sequence[str]) -> ReportRow:
        started = self._clock()
        versions = self._policy.policy_version, self._code_version
        run = Run(self._reference, window, *versions, started)
        out = self._outputs
        entries = read_entries(out.storage, files, self._reference, out.resolver)  # 1
        metrics: list[MetricRow] = []
        reports: list[ReportRow] = []
        for lane, profile in ((ALL_LANES, entries.together), *entries.lanes.items()):
            verdicts = judge(self._reference, profile, self._policy) if profile.scored else []  # 2
            summary = summarize(verdicts, bool(entries.damaged_files))
            metrics += metric_rows(run, lane, verdicts)
            reports.append(report_row(run, lane, profile, summary))
        uri = self._write_html(window, reports[0], metrics)  # 3
        milliseconds = round((self._clock() - started).total_seconds() * 1000)
        reports = [replace(row, duration_ms=milliseconds, report_uri=uri) for row in reports]
        self._commit(window, metrics, reports)
        self._metrics.drifted(reports[0].features_drifted)
        _log_window(reports[0], metrics, len(entries.damaged_files))
        return reports[0]

    def _write_html(
        self, window: Window, report: ReportRow, metrics: Sequence[MetricRow]
    ) -> str | None:
        """Render and store the page of all lanes where there is a verdict to show; its URL."""
        if self._outputs.render is None or not report.features_tested:
            return None
        try:
            page = self._outputs.render(report, [r for r in metrics if r.lane == ALL_LANES])
        except Exception:  # the verdicts are worth more than the page that shows them
            _log.exception("window %s: the HTML report could not be rendered", window.name)
            return None
        path = report_path(self._reference.model, window)
        self._outputs.storage.write(path, page)
        return self._outputs.storage.url_of(path)

    def _commit(
        self, window: Window, metrics: Sequence[MetricRow], reports: Sequence[ReportRow]
    ) -> None:
        storage, model = self._outputs.storage, self._reference.model
        write_rows(storage, model, window, MetricRow, metrics)  # 4
        if self._outputs.log_analytics is not None:  # 5
            self._outputs.log_analytics.upload(METRICS, metrics)
            self._outputs.log_analytics.upload(REPORTS, reports)
        write_rows(storage, model, window, ReportRow, reports)  # 6


def _log_window(report: ReportRow, metrics: Sequence[MetricRow], damaged_files: int) -> None:
    name = Window(report.window_start).name
    drifted = [r.feature for r in metrics if r.lane == ALL_LANES and r.status == "drift"]
    drifted = list(dict.fromkeys(drifted))
    _log.info(
        "window %s: %d rows, %s, drifted: %s",
        name,
        report.row_count,
        report.status,
        ", ".join(drifted) or "none",
        extra={
            "window": name,
            "rows": report.row_count,
            "rejected": report.rejected_rows,
            "status": report.status,
            "drifted": drifted,
            "damaged_files": damaged_files,
            "report": report.report_uri,
        },
    )
