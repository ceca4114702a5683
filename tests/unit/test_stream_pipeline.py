"""Batches from being taken to being committed, with ends in memory."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest

from adapters.event_hub.messages import Headers, Outgoing
from adapters.event_hub.ports import PartitionsMoved
from adapters.event_hub.retries import Retries
from adapters.tracing import NoSpan, NoTracing
from scoring.errors import BrokerUnavailable, TerminalError, TooManyRejections
from scoring.inference_log import LogBatch
from scoring.model import ModelBundle
from stream_worker.limits import RejectionLimit
from tests.support.broker import MemoryLog, MemoryWriter, event, received
from tests.support.stream_rig import Rig, TestedSource, batch, until
from tests.support.toy import EXAMPLE, load_toy

FOREVER = 3600.0


class GatedWriter(MemoryWriter):
    """Writes only while its gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.waiting = 0

    async def write(self, messages: Sequence[Outgoing]) -> None:
        """See `MemoryWriter`."""
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        await super().write(messages)


class GatedLog(MemoryLog):
    """Appends only while its gate is open."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__(failures)
        self.gate = threading.Event()
        self.entered = threading.Event()

    def append(self, entries: LogBatch) -> None:
        """See `MemoryLog`."""
        self.entered.set()
        assert self.gate.wait(20)
        super().append(entries)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("bundle"), reference=0)


@pytest.fixture
def gated_log() -> Iterator[GatedLog]:
    """One whose gate opens at the latest when the test ends, or its thread would not."""
    log = GatedLog()
    yield log
    log.gate.set()


async def test_a_batch_is_published_logged_committed_and_counted(model: ModelBundle) -> None:
    """Everything once: scored plus rejected is what was received."""
    writer, log = MemoryWriter(), MemoryLog()
    rig = Rig(model, writer, log)
    claim = rig.claim()
    await rig.pipeline.take(claim, batch(claim, 0, 5, poison=[1, 4]))
    await rig.idle()
    assert [m.hub for m in writer.messages] == ["scores"] * 3 + ["dead"] * 2
    assert [len(entries) for entries in log.batches] == [5]
    assert rig.source.offsets(claim) == [4]
    assert rig.counted("trilane_records_total", outcome="scored") == 3
    assert rig.counted("trilane_records_total", outcome="rejected") == 2
    assert rig.counted("trilane_dead_letters_total") == 2
    assert rig.counted("trilane_inference_log_entries_total", outcome="accepted") == 5
    assert rig.counted("trilane_inference_log_entries_total", outcome="written") == 5
    assert rig.counted("trilane_commits_total") == 1
    assert rig.counted("trilane_in_flight_records") == 0
    assert (rig.stops, rig.pipeline.failure) == (0, None)


async def test_dead_letters_follow_the_scores_and_say_which_try_it_is(model: ModelBundle) -> None:
    """Nothing is left out of a try that follows one that failed."""
    writer = MemoryWriter([BrokerUnavailable("no hub")])
    rig = Rig(model, writer)
    claim = rig.claim()
    await rig.pipeline.take(claim, batch(claim, 0, 2, poison=[1]))
    await rig.idle()
    assert [m.hub for m in writer.messages] == ["scores", "dead"]
    assert writer.events("dead")[0]["data"]["attempts"] == 2


async def test_transient_failures_are_tried_again_where_they_are(model: ModelBundle) -> None:
    """Each step for itself: what was published is not published again for a log that fails."""
    writer, log = MemoryWriter([BrokerUnavailable("no hub")] * 2), MemoryLog(failures=3)
    rig = Rig(model, writer, log, TestedSource([BrokerUnavailable("no hub")]))
    claim = rig.claim()
    await rig.pipeline.take(claim, batch(claim, 0, 2))
    await rig.idle()
    assert (len(writer.messages), len(log.batches), rig.source.offsets(claim)) == (2, 1, [1])
    tried = {s: rig.counted("trilane_delivery_retries_total", stage=s) for s in STEPS}
    assert tried == {"publish": 2, "log": 3, "commit": 1}
    assert rig.counted("trilane_records_total", outcome="scored") == 2
    assert (rig.stops, rig.pipeline.failure) == (0, None)


STEPS = ("publish", "log", "commit")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("error", [BrokerUnavailable("no"), TerminalError("no"), KeyError("a bug")])
async def test_a_step_that_fails_for_good_stops_the_worker(
    model: ModelBundle, step: str, error: Exception
) -> None:
    """A transient error at the end of the retries, and any other at once: it is kept, nothing is
    committed over the batch, and nothing more is begun.
    """
    failures = {s: [error] if s == step else [] for s in STEPS}
    writer, log, source = MemoryWriter(failures["publish"]), FailingLog(failures["log"]), (
        TestedSource(failures["commit"])
    )  # fmt: skip
    rig = Rig(model, writer, log, source, retries=Retries(0.0), max_records=2)
    claim, other = rig.source.give(rig.pipeline, 0, 1)
    for first in (0, 2, 4):
        await rig.pipeline.take(claim, batch(claim, first, 2))
    await rig.idle()
    assert (rig.pipeline.failure, rig.stops) == (error, 1)
    assert source.commits == []
    published = len(writer.messages)
    await rig.pipeline.take(claim, batch(claim, 6, 2))
    await rig.pipeline.take(other, batch(other, 0, 2))
    later = rig.claim(2)
    await rig.pipeline.take(later, batch(later, 0, 2))
    await rig.idle()
    assert (source.commits, len(writer.messages)) == ([], published)
    assert rig.counted("trilane_records_total", outcome="scored") == 0


class FailingLog(MemoryLog):
    """An `InferenceLog` that fails with the given errors first."""

    def __init__(self, errors: list[Exception]) -> None:
        super().__init__()
        self._errors = errors

    def append(self, entries: LogBatch) -> None:
        """See `MemoryLog`."""
        if self._errors:
            raise self._errors.pop(0)
        super().append(entries)


async def test_the_first_error_is_the_one_that_is_kept(model: ModelBundle) -> None:
    """What fails as a consequence does not hide it; the worker is stopped once."""
    rig = Rig(model)
    first = BrokerUnavailable("first")
    rig.pipeline.fail(first)
    rig.pipeline.fail(BrokerUnavailable("second"))
    assert (rig.pipeline.failure, rig.stops) == (first, 1)


async def test_what_was_published_before_a_failure_is_still_committed(model: ModelBundle) -> None:
    """Too many rejections stop the worker with the batch: of it nothing is published; the one
    before it is finished.
    """
    writer, log = GatedWriter(), MemoryLog()
    rig = Rig(model, writer, log, limit=RejectionLimit(1, 1))
    claim = rig.claim()
    await rig.pipeline.take(claim, batch(claim, 0, 2, poison=[1]))
    await until(lambda: writer.waiting == 1)
    await rig.pipeline.take(claim, batch(claim, 2, 2, poison=[2, 3]))
    await until(lambda: rig.stops == 1)
    writer.gate.set()
    await rig.idle()
    assert isinstance(rig.pipeline.failure, TooManyRejections)
    assert rig.source.offsets(claim) == [1]
    assert [e["data"]["offset"] for e in writer.events("dead")] == [1]
    assert sum(map(len, log.batches)) == 2


async def test_what_is_ready_together_is_logged_and_committed_together(
    model: ModelBundle, gated_log: GatedLog
) -> None:
    """Several batches of several claims become one file and one commit."""
    writer = MemoryWriter()
    rig = Rig(model, writer, gated_log, max_records=2)
    first, second = rig.source.give(rig.pipeline, 0, 1)
    await rig.pipeline.take(first, batch(first, 0, 2))
    await asyncio.to_thread(gated_log.entered.wait, 20)
    await rig.pipeline.take(first, batch(first, 2, 4, poison=[3]))
    await rig.pipeline.take(second, batch(second, 0, 3))
    await until(lambda: len(writer.messages) == 9)
    gated_log.gate.set()
    await rig.idle()
    assert [len(entries) for entries in gated_log.batches] == [2, 7]
    assert [{c: e.offset for c, e in last.items()} for last in rig.source.commits] == [
        {first: 1},
        {first: 5, second: 2},
    ]
    assert len(set(gated_log.batches[1].request_ids)) == 4
    assert rig.counted("trilane_commits_total") == 2
    assert rig.counted("trilane_records_total", outcome="scored") == 8


async def test_what_comes_in_meanwhile_joins_the_batch_that_waits(model: ModelBundle) -> None:
    """Few events at a time become batches under load, of no more events than allowed; without load
    nothing waits for others.
    """
    writer, log = GatedWriter(), MemoryLog()
    rig = Rig(model, writer, log, max_records=4)
    claim, other = rig.source.give(rig.pipeline, 0, 1)
    await rig.pipeline.take(claim, batch(claim, 0, 1))
    await until(lambda: writer.waiting == 1)
    await rig.pipeline.take(other, batch(other, 0, 1))
    for offset in range(1, 10):
        await rig.pipeline.take(claim, batch(claim, offset, 1))
    writer.gate.set()
    await rig.idle()
    sizes = Counter(i for entries in log.batches for i in entries.request_ids)
    assert sizes == {
        "events/0/0-0": 1, "events/0/1-4": 4, "events/0/5-8": 4, "events/0/9-9": 1,
        "events/1/0-0": 1,
    }  # fmt: skip
    assert rig.source.offsets(claim)[-1] == 9
    causes = [e["data"]["causationid"] for e in writer.events("scores")]
    assert [c for c in causes if c[0] == "0"] == [f"0-{offset}" for offset in range(10)]


async def test_a_claim_that_moves_is_dropped_from_what_is_settled_together(
    model: ModelBundle, gated_log: GatedLog
) -> None:
    """The others of the group are committed; of the lost one nothing is, and nobody counts it."""
    rig = Rig(model, log=gated_log)
    rig.pipeline.release_seconds = 0.05
    moving, staying = rig.source.give(rig.pipeline, 0, 1)
    await rig.pipeline.take(moving, batch(moving, 0, 2))
    await rig.pipeline.take(staying, batch(staying, 0, 3))
    await asyncio.to_thread(gated_log.entered.wait, 20)
    await rig.pipeline.release([moving])
    assert moving.lost
    gated_log.gate.set()
    await rig.idle()
    assert (rig.source.offsets(moving), rig.source.offsets(staying)) == ([], [2])
    assert rig.counted("trilane_records_total", outcome="scored") == 3
    assert (rig.stops, rig.pipeline.failure) == (0, None)


async def test_partitions_that_moved_at_the_commit_are_left_to_the_other_worker(
    model: ModelBundle,
) -> None:
    """Neither tried again nor a failure; nothing of that claim is committed any more."""
    rig = Rig(model, source=TestedSource([PartitionsMoved("moved")]))
    claim = rig.claim()
    await rig.pipeline.take(claim, batch(claim, 0, 2))
    await rig.idle()
    await rig.pipeline.take(claim, batch(claim, 2, 2))
    await rig.idle()
    assert (rig.source.commits, rig.stops, rig.pipeline.failure) == ([], 0, None)
    again = rig.claim()
    await rig.pipeline.take(again, batch(again, 0, 2))
    await rig.idle()
    assert rig.source.offsets(again) == [1]


async def test_release_waits_for_what_was_begun_and_drops_the_rest(model: ModelBundle) -> None:
    """The batch that is being published is committed; the ones behind it reach no hub."""
    writer = GatedWriter()
    rig = Rig(model, writer, max_records=2)
    claim = rig.claim()
    for first in (0, 2, 4):
        await rig.pipeline.take(claim, batch(claim, first, 2))
    await until(lambda: writer.waiting == 1)
    releasing = asyncio.create_task(rig.pipeline.release([claim]))
    await asyncio.sleep(0.05)
    assert (releasing.done(), claim.closing, claim.lost) == (False, True, False)
    writer.gate.set()
    await asyncio.wait_for(releasing, 20)
    assert claim.lost
    await rig.idle()
    assert (len(writer.messages), rig.source.offsets(claim)) == (2, [1])
    assert rig.counted("trilane_records_total", outcome="scored") == 2


async def test_release_is_bounded_and_then_nothing_is_committed(model: ModelBundle) -> None:
    """A hub that hangs does not keep the partitions; what it acknowledges later is repeated by the
    next owner.
    """
    writer, log = GatedWriter(), MemoryLog()
    rig = Rig(model, writer, log)
    rig.pipeline.release_seconds = 0.05
    claim = rig.claim()
    await rig.pipeline.take(claim, batch(claim, 0, 2))
    await until(lambda: writer.waiting == 1)
    await asyncio.wait_for(rig.pipeline.release([claim]), 20)
    assert claim.lost
    writer.gate.set()
    await rig.idle()
    assert (rig.source.commits, log.batches, rig.pipeline.failure) == ([], [], None)
    assert rig.counted("trilane_records_total", outcome="scored") == 0


@pytest.mark.parametrize("step", STEPS)
async def test_release_ends_the_retries(model: ModelBundle, step: str) -> None:
    """A batch whose step fails is tried once more and then left to the next owner: release does not
    sit out the wait in between.
    """
    errors: list[Exception] = [BrokerUnavailable("no")] * 9
    failures = {s: errors if s == step else [] for s in STEPS}
    source = TestedSource(failures["commit"])
    writer, log = MemoryWriter(failures["publish"]), FailingLog(failures["log"])
    rig = Rig(model, writer, log, source, retries=Retries(FOREVER, FOREVER, FOREVER))
    rig.pipeline.release_seconds = FOREVER
    claim = rig.claim()
    await rig.pipeline.take(claim, batch(claim, 0, 2))
    retried = "trilane_delivery_retries_total"
    await until(lambda: rig.counted(retried, stage=step) == 1)
    await asyncio.wait_for(rig.pipeline.release([claim]), 20)
    await rig.idle()
    assert claim.lost
    assert (source.commits, rig.stops, rig.pipeline.failure) == ([], 0, None)
    assert rig.counted(retried, stage=step) == 1


@pytest.mark.parametrize("step", ["log", "commit"])
async def test_nothing_is_committed_over_a_batch_that_was_dropped(
    model: ModelBundle, step: str
) -> None:
    """A later one that was published already is dropped too, although its own steps would succeed;
    another claim's is not.
    """
    errors: list[Exception] = [BrokerUnavailable("no")] * 2
    writer, log = MemoryWriter(), FailingLog(errors if step == "log" else [])
    source = TestedSource(errors if step == "commit" else [])
    rig = Rig(model, writer, log, source, retries=Retries(FOREVER, FOREVER, FOREVER))
    claim, other = rig.source.give(rig.pipeline, 0, 1)
    await rig.pipeline.take(claim, batch(claim, 0, 2))
    await until(lambda: rig.counted("trilane_delivery_retries_total", stage=step) == 1)
    await rig.pipeline.take(claim, batch(claim, 2, 2))
    await rig.pipeline.take(other, batch(other, 0, 1))
    await until(lambda: len(writer.messages) == 5)
    await asyncio.wait_for(rig.pipeline.release([claim]), 20)
    await rig.idle()
    assert (source.offsets(claim), source.offsets(other)) == ([], [0])
    assert (rig.stops, rig.pipeline.failure) == (0, None)


async def test_release_may_be_repeated(model: ModelBundle) -> None:
    """And says nothing of claims it does not know; the lag of a released one is not shown."""
    rig = Rig(model)
    claim = rig.claim()
    rig.metrics.lag("events", 0, 7)
    for _ in range(2):
        await rig.pipeline.release([claim])
    await rig.pipeline.release([])
    labels = {"hub": "events", "partition": "0"}
    assert rig.counted("trilane_consumer_lag_records", **labels) is None


async def test_events_of_a_released_claim_are_not_taken(model: ModelBundle) -> None:
    """They are dropped, whoever still gives them."""
    rig = Rig(model)
    claim = rig.claim()
    await rig.pipeline.release([claim])
    await rig.pipeline.take(claim, batch(claim, 0, 2))
    assert rig.in_hand == 0
    assert rig.source.commits == []


async def test_no_more_is_taken_than_may_be_in_hand(model: ModelBundle) -> None:
    """Taking waits; what waits longest is taken first, when room is made."""
    writer = GatedWriter()
    rig = Rig(model, writer, max_records=2, max_in_flight=4)
    claim, other = rig.source.give(rig.pipeline, 0, 1)
    taking = asyncio.create_task(rig.pipeline.take(claim, batch(claim, 0, 7)))
    second = asyncio.create_task(rig.pipeline.take(other, batch(other, 0, 1)))
    await until(lambda: writer.waiting == 1)
    await asyncio.sleep(0.05)
    assert (rig.in_hand, taking.done(), second.done()) == (4, False, False)
    writer.gate.set()
    await asyncio.wait_for(asyncio.gather(taking, second), 20)
    await rig.idle()
    assert (rig.source.offsets(claim)[-1], rig.source.offsets(other)) == (6, [0])


async def test_taking_that_is_cancelled_takes_nothing_more(model: ModelBundle) -> None:
    """What it waited with is not in hand, so it can be given again."""
    writer = GatedWriter()
    rig = Rig(model, writer, max_records=2, max_in_flight=2)
    claim = rig.claim()
    taking = asyncio.create_task(rig.pipeline.take(claim, batch(claim, 0, 4)))
    await until(lambda: writer.waiting == 1)
    taking.cancel()
    await asyncio.wait({taking})
    assert taking.cancelled()
    writer.gate.set()
    await rig.idle()
    assert rig.source.offsets(claim) == [1]
    await rig.pipeline.take(claim, batch(claim, 2, 2))
    await rig.idle()
    assert rig.source.offsets(claim) == [1, 3]


async def test_taking_ends_when_the_claim_does(model: ModelBundle) -> None:
    """A source that is stuck with a full pipeline gets on when the group asks for the partition."""
    writer = GatedWriter()
    rig = Rig(model, writer, max_records=2, max_in_flight=2)
    claim = rig.claim()
    taking = asyncio.create_task(rig.pipeline.take(claim, batch(claim, 0, 8)))
    await until(lambda: writer.waiting == 1)
    releasing = asyncio.create_task(rig.pipeline.release([claim]))
    await asyncio.wait_for(taking, 20)
    writer.gate.set()
    await asyncio.wait_for(releasing, 20)
    await rig.idle()
    assert rig.source.offsets(claim) == [1]


async def test_a_commit_is_progress(model: ModelBundle) -> None:
    """A claim that gets on is not stalled, however long its events have been waiting."""
    rig = Rig(model)
    claim = rig.claim()
    rig.pipeline.in_hand.lags(claim, 1_000)
    await asyncio.sleep(0.05)
    moment = time.monotonic()
    await asyncio.sleep(0.05)
    assert rig.pipeline.in_hand.stalled(time.monotonic() - moment) is claim
    await rig.pipeline.take(claim, batch(claim, 0, 1))
    await rig.idle()
    assert rig.pipeline.in_hand.stalled(time.monotonic() - moment) is None


class Linked(NoTracing, NoSpan):
    """Keeps what is linked, and takes nothing but text."""

    def __init__(self) -> None:
        self.traces: list[str] = []

    def process_span(self, hub: str, group: str, headers: Iterable[Headers]) -> "Linked":  # noqa: ARG002
        """See `Tracing`."""
        return self

    def link(self, traceparents: Iterable[str | None]) -> None:
        """See `BatchSpan`."""
        self.traces += [trace.lower() for trace in traceparents if trace is not None]


async def test_a_trace_of_any_form_stops_nothing(model: ModelBundle) -> None:
    """Senders may put there what they like; only text can be the name of a trace."""
    tracing = Linked()
    rig = Rig(model, tracing=tracing)
    claim = rig.claim()
    given: list[Any] = ["00-1", 7, {}, ["00-2"], True, None, "00-3"]
    values = [event(f"e{at}", EXAMPLE, traceparent=trace) for at, trace in enumerate(given)]
    events = [received(value, at) for at, value in enumerate(values)]
    await rig.pipeline.take(claim, events)
    await rig.idle()
    assert (tracing.traces, rig.pipeline.failure) == (["00-1", "00-3"], None)
    assert rig.counted("trilane_records_total", outcome="scored") == len(given)


async def test_taking_that_fails_unexpectedly_stops_the_worker(model: ModelBundle) -> None:
    """The events would be missing, and later ones would be committed over them."""
    rig = Rig(model)
    claim = rig.claim()
    await rig.pipeline.take(claim, [None])  # type: ignore[list-item]
    assert isinstance(rig.pipeline.failure, AttributeError)
    assert rig.stops == 1
    await rig.pipeline.take(claim, batch(claim, 1, 1))
    assert rig.source.commits == []


async def test_the_pipeline_is_a_member_once_it_was_given_anything(model: ModelBundle) -> None:
    """Also when the group has no partition left for it."""
    pipeline = Rig(model).pipeline
    assert not pipeline.member
    pipeline.claimed([])
    assert pipeline.member


def test_delays_double_up_to_a_bound() -> None:
    """However many attempts there were."""
    retries = Retries(60.0, 0.5, 3.0)
    delays = [retries.delay(attempt) for attempt in (1, 2, 3, 4, 5, 10_000)]
    assert delays == [0.5, 1.0, 2.0, 3.0, 3.0, 3.0]
