"""Retries, failure and draining of the stream worker, without a broker."""

import asyncio
from datetime import UTC, datetime

import pytest

from adapters.event_subscriber import PartitionsMoved
from adapters.telemetry import LaneMetrics
from scoring.errors import BrokerUnavailable, TerminalError
from scoring.model import ModelBundle
from stream_worker.handler import Handler
from stream_worker.worker import Retries, Worker
from tests.support.broker import MemoryLog, MemoryWriter, event, received
from tests.support.toy import EXAMPLE, load_toy

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
BATCH = [received(event("a", EXAMPLE)), received(b"{", 1)]


class Rig:
    """A worker with ends in memory, and how often it committed and stopped."""

    def __init__(self, model: ModelBundle, writer: MemoryWriter, log: MemoryLog | None = None):
        self.commits = self.stops = 0
        self.metrics = LaneMetrics("stream", "toy", "7")
        self.log = log or MemoryLog()
        handler = Handler(model, writer, self.log, "scores", "dead", 10_000)
        retries = Retries(attempts=3, first_seconds=0.001)
        self.worker = Worker(handler, self.metrics, retries, lambda: NOW, self._stop)

    def _stop(self) -> None:
        self.stops += 1

    async def commit(self) -> None:
        """Count."""
        self.commits += 1

    def counted(self, name: str, outcome: str | None = None) -> float | None:
        """A sample of the worker's metrics."""
        labels = {"lane": "stream", "model": "toy", "version": "7"}
        if outcome is not None:
            labels["outcome"] = outcome
        return self.metrics.registry.get_sample_value(name, labels)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("bundle"), reference=0)


async def test_a_transient_failure_is_retried_in_place(model: ModelBundle) -> None:
    """The same batch is delivered again and committed once; it is counted once."""
    writer = MemoryWriter([BrokerUnavailable("no hub")])
    rig = Rig(model, writer, MemoryLog(failures=1))
    await rig.worker.take(BATCH, rig.commit)
    assert (rig.commits, rig.stops, rig.worker.failure) == (1, 0, None)
    assert rig.counted("trilane_records_total", "scored") == 1
    assert rig.counted("trilane_records_total", "rejected") == 1
    assert rig.counted("trilane_dead_letters_total") == 1
    assert rig.counted("trilane_inference_log_entries_total", "written") == 2


async def test_retries_are_bounded_and_nothing_is_taken_after_them(model: ModelBundle) -> None:
    """The worker keeps the error and stops; no later batch can be committed over this one."""
    rig = Rig(model, MemoryWriter(), MemoryLog(failures=3))
    rig.worker.started()
    await rig.worker.take(BATCH, rig.commit)
    await rig.worker.take(BATCH, rig.commit)
    assert (rig.commits, rig.stops, rig.log.batches) == (0, 1, [])
    assert str(rig.worker.failure) == "no storage"
    assert not rig.worker.ready()


@pytest.mark.parametrize("error", [TerminalError("broken"), ZeroDivisionError("a bug")])
async def test_any_other_error_stops_at_once(model: ModelBundle, error: Exception) -> None:
    """A terminal error and a bug are not retried and not passed over."""
    rig = Rig(model, MemoryWriter([error]))
    await rig.worker.take(BATCH, rig.commit)
    await rig.worker.take(BATCH, rig.commit)
    assert (rig.commits, rig.stops, rig.worker.failure) == (0, 1, error)


async def test_a_batch_whose_partitions_moved_is_left_to_the_other_worker(
    model: ModelBundle,
) -> None:
    """Neither retried nor a failure: the group delivers it again."""
    rig = Rig(model, MemoryWriter())
    tries: list[int] = []

    async def refused() -> None:
        tries.append(1)
        raise PartitionsMoved("moved")

    await rig.worker.take(BATCH, refused)
    await rig.worker.take(BATCH, rig.commit)
    assert (len(tries), rig.commits, rig.worker.failure) == (1, 1, None)


async def test_draining_ends_the_wait_between_attempts(model: ModelBundle) -> None:
    """A worker told to stop does not sit out its backoff; the batch stays uncommitted."""
    rig = Rig(model, MemoryWriter(), MemoryLog(failures=3))
    handler = Handler(model, MemoryWriter(), MemoryLog(failures=3), "scores", "dead", 10_000)
    worker = Worker(handler, rig.metrics, Retries(3, 60.0, 60.0), lambda: NOW, lambda: None)
    taking = asyncio.create_task(worker.take(BATCH, rig.commit))
    await asyncio.sleep(0.05)
    worker.drain()
    await asyncio.wait_for(taking, 5)
    assert (rig.commits, worker.failure) == (0, None)


async def test_readiness_follows_the_assignment(model: ModelBundle) -> None:
    """Ready between the first assignment and draining; alive all along."""
    worker = Rig(model, MemoryWriter()).worker
    seen = [worker.ready()]
    worker.started()
    seen.append(worker.ready())
    worker.drain()
    assert [*seen, worker.ready(), worker.alive()] == [False, True, False, True]


def test_delays_double_up_to_a_bound() -> None:
    """The waiting time is bounded."""
    retries = Retries(attempts=9, first_seconds=0.5, longest_seconds=3.0)
    assert [retries.delay(n) for n in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]
