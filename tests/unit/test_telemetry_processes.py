"""Metrics of several processes, reported by any one of them."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapters.metric_families import process_died
from adapters.telemetry import MetricFamilies

LABELS = {"lane": "online", "model": "toy", "version": "7"}

_WORKER = """
import json, sys
from pathlib import Path
from adapters.metric_families import share_metrics
directory = Path(sys.argv[1])
share_metrics(directory)
from adapters.telemetry import LaneMetrics, MetricFamilies, ServerMetrics
families = MetricFamilies(directory)
metrics = LaneMetrics("online", "toy", "7", families)
ServerMetrics(families).in_flight(5)
print("ready", flush=True)
for line in sys.stdin:
    if line.strip() == "render":
        print(json.dumps(families.render().decode()), flush=True)
    else:
        metrics.scored(int(line), 1, 0.25)
        print("done", flush=True)
"""


class Worker:
    """A process that counts what it is told to, and reports."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        assert self._said() == "ready"

    def scored(self, records: int) -> None:
        """Count a batch there, with one rejection."""
        assert self._ask(str(records)) == "done"

    def sample(self, name: str, **labels: str) -> float | None:
        """One sample, as a scraper of this process reads it."""
        text = json.loads(self._ask("render"))
        for family in text_string_to_metric_families(text):
            for found in family.samples:
                if found.name == name and found.labels == labels:
                    return found.value
        return None

    def kill(self) -> None:
        """End it without a chance to write anything."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(30)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _ask(self, word: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return self._said()

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture
def first(tmp_path: Path) -> Iterator[Worker]:
    """One of the processes that share a directory."""
    worker = Worker(tmp_path)
    yield worker
    worker.kill()


def test_any_process_reports_the_sums_of_all(first: Worker, tmp_path: Path) -> None:
    """Counters, histograms and gauges of every process are added, at once."""
    second = Worker(tmp_path)
    try:
        second.scored(10)
        first.scored(1)
        for worker in (first, second):
            assert worker.sample("trilane_records_total", **LABELS, outcome="scored") == 11
            assert worker.sample("trilane_records_total", **LABELS, outcome="rejected") == 2
            assert worker.sample("trilane_score_seconds_sum", **LABELS) == 0.5
            assert worker.sample("trilane_score_seconds_count", **LABELS) == 2
            assert worker.sample("trilane_score_seconds_bucket", **LABELS, le="0.1") == 0
            assert worker.sample("trilane_score_seconds_bucket", **LABELS, le="0.5") == 2
            assert worker.sample("trilane_http_in_flight") == 10
    finally:
        second.kill()


def test_a_killed_process_leaves_its_counts_but_not_its_gauges(
    first: Worker, tmp_path: Path
) -> None:
    """Nothing that was counted is lost, also not with SIGKILL; what was in flight there is gone."""
    second = Worker(tmp_path)
    second.scored(10)
    second.kill()
    assert first.sample("trilane_http_in_flight") == 10
    for _ in range(2):  # once more is harmless
        process_died(tmp_path, second.pid)
        assert first.sample("trilane_records_total", **LABELS, outcome="scored") == 10
        assert first.sample("trilane_score_seconds_bucket", **LABELS, le="0.5") == 1
        assert first.sample("trilane_http_in_flight") == 5


def test_sharing_comes_before_the_package(tmp_path: Path) -> None:
    """Afterwards numbers would silently stay in their process."""
    with pytest.raises(RuntimeError, match="share_metrics"):
        MetricFamilies(tmp_path)
