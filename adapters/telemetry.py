"""Prometheus metrics under the names users rely on."""

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from scoring.inference_log import Lane

Outcome = Literal["scored", "rejected"]
LogOutcome = Literal["accepted", "written", "dropped"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
_RECORDS = (1, 10, 100, 1_000, 10_000)
_CALL_RECORDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096)


class LaneMetrics:
    """What a lane counts, labelled with its lane, model and version."""

    def __init__(self, lane: Lane, model: str, version: str) -> None:
        """Registers on a registry of its own, so two in one process do not meet."""
        self.registry = CollectorRegistry()
        labels = ("lane", "model", "version")
        self._values = (lane, model, version)
        self._records = Counter(
            "trilane_records", "Records received, by outcome.", (*labels, "outcome"),
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "trilane_score_seconds", "Time to validate and score a batch.", labels,
            registry=self.registry, buckets=_SECONDS,
        )  # fmt: skip
        self._sizes = Histogram(
            "trilane_batch_records", "Records per scored batch.", labels,
            registry=self.registry, buckets=_RECORDS,
        )  # fmt: skip
        self._calls = Histogram(
            "trilane_model_call_records", "Records per call that requests share.", labels,
            registry=self.registry, buckets=_CALL_RECORDS,
        )  # fmt: skip
        self._log = Counter(
            "trilane_inference_log_entries", "Inference log entries, by outcome.",
            (*labels, "outcome"), registry=self.registry,
        )  # fmt: skip
        self._dead_letters = Counter(
            "trilane_dead_letters", "Dead letters published.", labels, registry=self.registry
        )
        self._lag = Gauge(
            "trilane_consumer_lag_records", "Events published but not yet committed.", labels,
            registry=self.registry,
        )  # fmt: skip

    def scored(self, scored: int, rejected: int, seconds: float) -> None:
        """Count one batch: scored plus rejected is what was received; `seconds` for all of it."""
        self._records.labels(*self._values, "scored").inc(scored)
        self._records.labels(*self._values, "rejected").inc(rejected)
        self._seconds.labels(*self._values).observe(seconds)
        self._sizes.labels(*self._values).observe(scored + rejected)

    def called(self, records: int) -> None:
        """Count one call of the model that requests share, and its records."""
        self._calls.labels(*self._values).observe(records)

    def logged(self, outcome: LogOutcome, entries: int) -> None:
        """Count inference log entries: accepted by the lane, written to storage, or dropped."""
        self._log.labels(*self._values, outcome).inc(entries)

    def dead_letters(self, count: int) -> None:
        """Count dead letters that the hub acknowledged."""
        self._dead_letters.labels(*self._values).inc(count)

    def lag(self, records: int) -> None:
        """Set the number of events that wait."""
        self._lag.labels(*self._values).set(records)

    def render(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)
