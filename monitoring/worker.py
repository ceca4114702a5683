"""The process: put the parts together, then drain the closed windows once or keep watching."""

import logging
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version

from adapters.log_analytics import LogAnalytics
from adapters.probes import JSON, ProbeServer
from adapters.storage import open_storage
from monitoring.metrics import MonitorMetrics
from monitoring.policy import read_policy
from monitoring.reference import load_reference
from monitoring.references import Resolver
from monitoring.report import render_report
from monitoring.settings import MonitorSettings
from monitoring.watcher import Outputs, Span, Watcher
from scoring.bundle_schema import describe_bundle
from scoring.bundles import champion_path
from scoring.errors import ConfigurationError, TransientError
from scoring.model_document import model_document

_log = logging.getLogger(__name__)

STALLED_SECONDS = 900.0
"""Without a finished window or pass for this long the process counts as dead."""


def watch(settings: MonitorSettings) -> None:
    """Run until every closed window is reported (`once`) or a signal says stop.

    Raises TerminalError for a wrong configuration or bundle; with `once` TransientError too, where
    the worker would log it and try again.
    """
    log_analytics = _log_analytics(settings)
    try:
        _watch(settings, log_analytics)
    finally:
        if log_analytics is not None:
            log_analytics.close()


def _watch(settings: MonitorSettings, log_analytics: LogAnalytics | None) -> None:
    policy = read_policy(settings.policy)
    reference = load_reference(champion_path(settings.bundle), policy.profile)
    secret = settings.connection_string()
    storage = open_storage(settings.storage_url, secret)
    resolver = Resolver(
        describe_bundle(champion_path(settings.bundle)), lambda url: open_storage(url, secret)
    )
    metrics = MonitorMetrics(reference.model.name, reference.model.version)
    watcher = Watcher(
        reference,
        policy,
        Span(timedelta(seconds=settings.grace_seconds), settings.since, settings.until),
        Outputs(storage, log_analytics, render_report if settings.html_reports else None, resolver),
        metrics,
        lambda: datetime.now(UTC),
        settings.code_version or _installed_version(),
    )
    if settings.once:
        count = sum(1 for _ in watcher.run())
        _log.info("%d windows reported", count, extra={"windows": count})
        return
    worker = _Worker(watcher, metrics, settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    worker.run()


class _Worker:
    """Looks for closed windows again and again, and answers probes meanwhile."""

    def __init__(
        self, watcher: Watcher, metrics: MonitorMetrics, settings: MonitorSettings
    ) -> None:
        self._watcher = watcher
        self._interval = settings.interval_seconds
        self._stop = threading.Event()
        self._passed = threading.Event()
        self._beat = time.monotonic()
        self._probes = ProbeServer(
            settings.probe_host,
            settings.probe_port,
            self._passed.is_set,
            self._is_alive,
            metrics.render,
            {"/model": (JSON, model_document(describe_bundle(champion_path(settings.bundle))))},
        )

    def stop(self) -> None:
        """Finish the window at hand, then leave `run`."""
        self._stop.set()

    def run(self) -> None:
        """Watch until `stop`. Ready after the first pass that found storage answering."""
        self._probes.start()
        _log.info("watching", extra={"probe_port": self._probes.port})
        try:
            while not self._stop.is_set():
                try:
                    self._pass()
                except TransientError as error:
                    _log.warning("%s; trying again in %g s", error, self._interval)
                self._beat = time.monotonic()
                self._stop.wait(self._interval)
        finally:
            self._probes.stop()
        _log.info("stopped")

    def _pass(self) -> None:
        if not self._passed.is_set():
            self._watcher.restore_metrics()
        for _ in self._watcher.run():
            self._beat = time.monotonic()
            if self._stop.is_set():
                return
        if not self._passed.is_set():
            self._passed.set()
            _log.info("ready")

    def _is_alive(self) -> bool:
        return time.monotonic() - self._beat < self._interval + STALLED_SECONDS


def _log_analytics(settings: MonitorSettings) -> LogAnalytics | None:
    endpoint, rule_id = settings.logs_ingestion_endpoint, settings.logs_ingestion_rule_id
    if endpoint is None and rule_id is None:
        return None
    if endpoint is None or rule_id is None:
        raise ConfigurationError(
            "TRILANE_LOGS_INGESTION_ENDPOINT and TRILANE_LOGS_INGESTION_RULE_ID belong together"
        )
    return LogAnalytics(endpoint, rule_id)


def _installed_version() -> str:
    try:
        return version("trilane")
    except PackageNotFoundError:
        return "unknown"
