"""Prometheus metrics under the names users rely on: docs/observability.md has the table."""

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from adapters.metric_families import MetricFamilies
from scoring.inference_log import Lane

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Histogram

__all__ = ["CONTENT_TYPE", "LaneMetrics", "MetricFamilies", "ServerMetrics"]

Outcome = Literal["scored", "rejected"]
LogOutcome = Literal["accepted", "written", "dropped"]
ShadowOutcome = Literal["scored", "rejected", "dropped"]
Stage = Literal["decode", "validate", "score", "encode", "publish", "log", "commit"]
"""A step of a lane that takes batches."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
_RECORDS = (1, 10, 100, 1_000, 10_000)
_CALL_RECORDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096)
_LABELS = ("lane", "model", "version")


class LaneMetrics:
    """What a lane counts, labelled with its lane, model and version. Any thread may call it."""

    def __init__(
        self, lane: Lane, model: str, version: str, families: MetricFamilies | None = None
    ) -> None:
        """Counts on `families`, which several models and the server may share, or on its own."""
        self.families = families = families or MetricFamilies()
        self._values = values = (lane, model, version)
        records = families.counter(
            "trilane_records", "Records received, by outcome.", (*_LABELS, "outcome")
        )
        self._scored = records.labels(*values, "scored")
        self._rejected = records.labels(*values, "rejected")
        self._seconds = families.histogram(
            "trilane_score_seconds", "Time to validate and score a batch.", _LABELS, _SECONDS
        ).labels(*values)
        self._sizes = families.histogram(
            "trilane_batch_records", "Records per scored batch.", _LABELS, _RECORDS
        ).labels(*values)
        log = families.counter(
            "trilane_inference_log_entries",
            "Inference log entries, by outcome.",
            (*_LABELS, "outcome"),
        )
        self._log: dict[LogOutcome, Counter] = {
            "accepted": log.labels(*values, "accepted"),
            "written": log.labels(*values, "written"),
            "dropped": log.labels(*values, "dropped"),
        }
        # These are of one lane or of a mode: their samples begin with the first call.
        self._calls = families.histogram(
            "trilane_model_call_records",
            "Records per call that requests share.",
            _LABELS,
            _CALL_RECORDS,
        )
        self._dead_letters = families.counter(
            "trilane_dead_letters", "Dead letters published.", _LABELS
        )
        self._lag = families.gauge(
            "trilane_consumer_lag_records",
            "Events of a partition that are published but not yet committed.",
            (*_LABELS, "hub", "partition"),
        )
        self._stages = families.counter(
            "trilane_stage_seconds", "Time spent in each step, by step.", (*_LABELS, "stage")
        )
        self._retries = families.counter(
            "trilane_delivery_retries", "Steps tried again, by step.", (*_LABELS, "stage")
        )
        self._commits = families.counter("trilane_commits", "Commits of offsets.", _LABELS)
        self._in_hand = families.gauge(
            "trilane_in_flight_records", "Events taken and not yet committed.", _LABELS
        )
        self._shadow = families.counter(
            "trilane_shadow_records",
            "Records given to this model in the shadow of another, by outcome.",
            (*_LABELS, "outcome"),
        )

    @property
    def registry(self) -> "CollectorRegistry":
        """Where the samples can be read."""
        return self.families.registry

    def scored(self, scored: int, rejected: int, seconds: float) -> None:
        """Count one batch: scored plus rejected is what was received; `seconds` for all of it."""
        self._scored.inc(scored)
        if rejected:
            self._rejected.inc(rejected)
        self._seconds.observe(seconds)
        self._sizes.observe(scored + rejected)

    def called(self, records: int) -> None:
        """Count one call of the model that requests share, and its records."""
        self._calls.labels(*self._values).observe(records)

    def logged(self, outcome: LogOutcome, entries: int) -> None:
        """Count inference log entries: accepted by the lane, written to storage, or dropped."""
        self._log[outcome].inc(entries)

    def shadow(self, outcome: ShadowOutcome, records: int) -> None:
        """Count records that this model was given beside the model that answered."""
        self._shadow.labels(*self._values, outcome).inc(records)

    def dead_letters(self, count: int) -> None:
        """Count dead letters that the hub acknowledged."""
        self._dead_letters.labels(*self._values).inc(count)

    def lag(self, hub: str, partition: int, records: int) -> None:
        """Set the number of events of a partition that wait."""
        self._lag.labels(*self._values, hub, str(partition)).set(records)

    def no_lag(self, hub: str, partition: int) -> None:
        """The partition is another worker's: its lag is not known here."""
        with suppress(KeyError):  # it never was
            self._lag.remove(*self._values, hub, str(partition))

    def stage(self, stage: Stage, seconds: float) -> None:
        """Add time that a step took."""
        self._stages.labels(*self._values, stage).inc(seconds)

    def retried(self, stage: Stage) -> None:
        """Count a step that failed and is tried again."""
        self._retries.labels(*self._values, stage).inc()

    def committed(self) -> None:
        """Count a commit, of any number of partitions."""
        self._commits.labels(*self._values).inc()

    def in_hand(self, records: int) -> None:
        """Set the number of events that are being worked on."""
        self._in_hand.labels(*self._values).set(records)

    def render(self) -> bytes:
        """The Prometheus text format."""
        return self.families.render()


class ServerMetrics:
    """What an HTTP server counts, whichever model answers."""

    def __init__(self, families: MetricFamilies) -> None:
        self._families = families
        self._requests = families.counter(
            "trilane_http_requests", "Requests answered.", ("route", "status")
        )
        self._seconds = families.histogram(
            "trilane_http_request_seconds",
            "Time from a request's headers to its answer.",
            ("route",),
            _SECONDS,
        )
        self._shed = families.counter(
            "trilane_http_shed",
            "Requests and connections refused before the app saw them, by reason.",
            ("reason",),
        )
        self._in_flight = families.gauge("trilane_http_in_flight", "Requests being worked on.", ())
        self._bound: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one answer. A route is a pattern of the app, never a path that a caller made up:
        each is kept for ever.
        """
        bound = self._bound.get((route, status))
        if bound is None:
            bound = (
                self._requests.labels(route, str(status)),
                self._seconds.labels(route),
            )
            self._bound[route, status] = bound
        requests, durations = bound
        requests.inc()
        durations.observe(seconds)

    def shed(self, reason: str) -> None:
        """Count one refusal; a reason is one of a few words."""
        self._shed.labels(reason).inc()

    def in_flight(self, count: int) -> None:
        """Set how many requests this process works on."""
        self._in_flight.set(count)

    def render(self) -> bytes:
        """Everything on its families in the Prometheus text format."""
        return self._families.render()
