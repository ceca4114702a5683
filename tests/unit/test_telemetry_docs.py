"""docs/observability.md says what is counted, written and traced."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from adapters.telemetry import LaneMetrics, MetricFamilies, ServerMetrics
from adapters.tracing import open_tracing
from monitoring.metrics import MonitorMetrics
from online_api.context import Exchange, RequestContext
from online_api.request_lines import Policy, RequestLines
from scoring.errors import ConfigurationError
from scoring.records import ModelVersion, RecordBatch, ScoredBatch

TEXT = (Path(__file__).parents[2] / "docs" / "observability.md").read_text()
METRICS = {
    name: re.findall(r"`(\w+)`", labels)
    for name, labels in re.findall(r"^\| `(trilane_\w+)` \| (.*?) \| ", TEXT, re.MULTILINE)
}


def counted() -> dict[str, list[str]]:
    """Every metric with its labels, after everything happened once."""
    families = MetricFamilies()
    lane = LaneMetrics("online", "toy", "7", families)
    lane.scored(1, 1, 0.1)
    lane.called(1)
    lane.shadow("scored", 1)
    lane.dead_letters(1)
    lane.lag("events", 0, 1)
    lane.in_hand(1)
    lane.stage("log", 0.1)
    lane.retried("log")
    lane.committed()
    server = ServerMetrics(families)
    server.answered("/predict", 200, 0.1)
    server.shed("overloaded")
    text = (families.render() + MonitorMetrics("toy", "7").render()).decode()
    found = {}
    for name, labels in re.findall(r"^(trilane_\w+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        names = [n for n in re.findall(r'(\w+)="', labels) if n != "le"]
        found[re.sub(r"_(bucket|sum|count)$", "", name)] = sorted(names)
    return found


def test_every_metric_is_documented_with_its_labels() -> None:
    """And no other."""
    assert {name: sorted(labels) for name, labels in METRICS.items()} == counted()


def test_the_example_lines_are_what_is_written(caplog: pytest.LogCaptureFixture) -> None:
    """What somebody builds a query on."""
    examples = [
        json.loads(line)
        for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
        for line in block.splitlines()
    ]
    version = ModelVersion("attrition", "7", "d")
    scores = {"score": np.array([0.75, 0.25])}
    batch = RecordBatch(("1", "2"), ())
    exchange = Exchange(2, 0, ScoredBatch(version, batch, scores, None, None), version)
    at = datetime(2026, 3, 2, 12, 30, 5, 250_000, tzinfo=UTC)
    context = RequestContext("7c6f9ee2", at, route="/predict", exchange=exchange)
    caplog.set_level("INFO")
    written: list[bytes] = []
    lines = RequestLines("attrition", "sizes", written.append, {}, clock=at.timestamp)
    lines.request(context, "POST", 200, 0.0012345)
    assert [json.loads(line) for line in b"".join(written).splitlines()] == examples


@pytest.mark.parametrize("policy", get_args(Policy))
def test_every_policy_is_documented(policy: str) -> None:
    """What it writes stands in the table."""
    assert f"| `{policy}`" in TEXT


@pytest.mark.parametrize(
    "variables",
    [{"OTEL_TRACES_EXPORTER": "zipkin"}, {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}],
)
def test_a_variable_that_is_refused_is_documented(
    variables: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what it may be."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
        with pytest.raises(ConfigurationError, match=name):
            open_tracing("x")
        assert f"`{name}`" in TEXT
