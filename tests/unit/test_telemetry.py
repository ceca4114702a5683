"""What the metrics say, in one process."""

import threading
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapters.telemetry import LaneMetrics, MetricFamilies, ServerMetrics

LABELS = {"lane": "online", "model": "toy", "version": "7"}


def sample(families: MetricFamilies, name: str, **labels: str) -> float | None:
    """One sample, as a scraper reads it."""
    for family in text_string_to_metric_families(families.render().decode()):
        for found in family.samples:
            if found.name == name and found.labels == labels:
                return found.value
    return None


def test_outcomes_are_zero_before_anything_happened() -> None:
    """A rate over a counter starts with the first event, so its sample is there before."""
    metrics = LaneMetrics("online", "toy", "7")
    names = {
        "trilane_records_total": ("scored", "rejected"),
        "trilane_inference_log_entries_total": ("accepted", "written", "dropped"),
    }
    for name, outcomes in names.items():
        for outcome in outcomes:
            assert sample(metrics.families, name, **LABELS, outcome=outcome) == 0


def test_a_batch_is_counted_by_outcome_with_its_size_and_time() -> None:
    """Rejected records count towards the size of what was received."""
    metrics = LaneMetrics("online", "toy", "7")
    metrics.scored(3, 0, 0.25)
    metrics.scored(0, 2, 0.5)
    families = metrics.families
    assert sample(families, "trilane_records_total", **LABELS, outcome="scored") == 3
    assert sample(families, "trilane_records_total", **LABELS, outcome="rejected") == 2
    assert sample(families, "trilane_score_seconds_sum", **LABELS) == 0.75
    assert sample(families, "trilane_score_seconds_count", **LABELS) == 2
    assert sample(families, "trilane_batch_records_sum", **LABELS) == 5


@pytest.mark.parametrize(
    ("seconds", "first"), [(0.0, "0.0001"), (0.05, "0.05"), (0.0500001, "0.1"), (9.0, "+Inf")]
)
def test_a_value_falls_under_every_bound_that_is_not_below_it(seconds: float, first: str) -> None:
    """Buckets are cumulative, and a bound is part of its bucket."""
    metrics = LaneMetrics("online", "toy", "7")
    metrics.scored(1, 0, seconds)
    bounds = ["0.0001", "0.0005", "0.001", "0.005", "0.01", "0.05"]
    bounds += ["0.1", "0.5", "1.0", "5.0", "+Inf"]
    counted = [
        sample(metrics.families, "trilane_score_seconds_bucket", **LABELS, le=bound)
        for bound in bounds
    ]
    expected = [0.0] * bounds.index(first)
    assert counted == expected + [1.0] * (len(bounds) - len(expected))


def test_what_a_lane_never_does_has_no_sample() -> None:
    """A lag of 0 that nobody measured would be a lie."""
    metrics = LaneMetrics("stream", "toy", "7")
    labels = {"lane": "stream", "model": "toy", "version": "7"}
    rare: dict[str, tuple[Callable[[], None], dict[str, str]]] = {
        "trilane_consumer_lag_records": (
            lambda: metrics.lag("events", 2, 4),
            {"hub": "events", "partition": "2"},
        ),
        "trilane_dead_letters_total": (lambda: metrics.dead_letters(4), {}),
        "trilane_model_call_records_sum": (lambda: metrics.called(4), {}),
        "trilane_in_flight_records": (lambda: metrics.in_hand(4), {}),
        "trilane_stage_seconds_total": (lambda: metrics.stage("log", 4), {"stage": "log"}),
    }
    for name, (call, added) in rare.items():
        assert sample(metrics.families, name, **labels, **added) is None
        call()
        assert sample(metrics.families, name, **labels, **added) == 4
    metrics.lag("events", 2, 1)
    place = {"hub": "events", "partition": "2"}
    assert sample(metrics.families, "trilane_consumer_lag_records", **labels, **place) == 1
    metrics.no_lag("events", 2)
    metrics.no_lag("events", 3)
    assert sample(metrics.families, "trilane_consumer_lag_records", **labels, **place) is None
    metrics.shadow("dropped", 2)
    name = "trilane_shadow_records_total"
    assert sample(metrics.families, name, **labels, outcome="dropped") == 2


def test_models_and_the_server_share_families() -> None:
    """Two models of a process are samples of one family, so a scrape declares it once."""
    families = MetricFamilies()
    for version in ("7", "8"):
        LaneMetrics("online", "toy", version, families).scored(1, 0, 0.1)
    ServerMetrics(families).answered("/predict", 200, 0.1)
    text = families.render().decode()
    assert text.count("# TYPE trilane_records_total counter") == 1
    for version in ("7", "8"):
        labels = LABELS | {"version": version, "outcome": "scored"}
        assert sample(families, "trilane_records_total", **labels) == 1


def test_lanes_without_common_families_do_not_meet() -> None:
    """Two lanes in one process count apart."""
    first, second = (LaneMetrics("stream", "toy", "7") for _ in range(2))
    first.dead_letters(3)
    assert b"trilane_dead_letters_total{" not in second.render()


def test_the_server_counts_answers_refusals_and_what_is_in_flight() -> None:
    """Requests are counted by route and status; their time by route."""
    families = MetricFamilies()
    server = ServerMetrics(families)
    assert sample(families, "trilane_http_in_flight") == 0
    server.in_flight(3)
    server.in_flight(2)
    for status in (200, 200, 422):
        server.answered("/predict", status, 0.25)
    server.shed("overloaded")
    name = "trilane_http_requests_total"
    assert sample(families, name, route="/predict", status="200") == 2
    assert sample(families, name, route="/predict", status="422") == 1
    assert sample(families, "trilane_http_request_seconds_sum", route="/predict") == 0.75
    assert sample(families, "trilane_http_in_flight") == 2
    assert sample(families, "trilane_http_shed_total", reason="overloaded") == 1


def test_label_values_are_escaped() -> None:
    """A model's name may have any character."""
    metrics = LaneMetrics("online", 'a "b"\n\\c', "7")
    metrics.scored(1, 0, 0.1)
    labels = LABELS | {"model": 'a "b"\n\\c', "outcome": "scored"}
    assert sample(metrics.families, "trilane_records_total", **labels) == 1


def test_threads_lose_no_count() -> None:
    """A lane counts from the event loop and from the thread of the model."""
    metrics = LaneMetrics("online", "toy", "7")

    def count() -> None:
        for _ in range(5_000):
            metrics.scored(1, 1, 0.5)
            metrics.called(1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    families = metrics.families
    assert sample(families, "trilane_records_total", **LABELS, outcome="rejected") == 20_000
    assert sample(families, "trilane_score_seconds_sum", **LABELS) == 10_000
    assert sample(families, "trilane_model_call_records_count", **LABELS) == 20_000
