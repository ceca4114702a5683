"""Events from being taken to being committed: steps 4 to 7, and everything in hand meanwhile.

Each batch of a claim is a task that goes through three rooms, one batch at a time in each and in
the order in which they were taken: computing (steps 1 to 3), publishing (4 and 5) and settling (6
and 7). While one batch is published, the next is computed, and what comes in meanwhile joins the
batch that waits. Whoever enters publishing or settling takes along what waits with it: so requests
are few when the hub is slow, the log gets few and large files, and commits are few.

A step that fails for now is tried again where it is, so nothing can overtake it. A batch is dropped
only when its claim ends, and with it every later one of that claim: what is committed is always
everything up to there.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import chain
from typing import Final

from adapters.event_hub.messages import Outgoing, Received
from adapters.event_hub.ports import Claim, EventSource, EventWriter, PartitionsMoved
from adapters.event_hub.retries import Retries
from adapters.telemetry import LaneMetrics
from adapters.tracing import NO_TRACING, BatchSpan, Tracing
from scoring.inference_log import InferenceLog, LogBatch
from stream_worker.handler import Handler, Results
from stream_worker.in_hand import Dropped, InHand, Work
from stream_worker.limits import RejectionLimit
from stream_worker.retries import Trying

COMMIT_SECONDS: Final = 0.25
"""Event Hubs throttles commits to four per second and partition."""
PUBLISHED_BATCHES: Final = 4
"""So many full batches are published together at most."""
QUICK_SECONDS: Final = 0.01
"""For so long the event loop may be held up."""
RELEASE_SECONDS: Final = 10.0
"""How long a group waits for what was begun of partitions that move."""

logger = logging.getLogger(__name__)


class Pipeline:
    """The `Taker` of the stream worker.

    On an error that is not transient, or when a step failed for too long, it keeps the error as
    `failure`, calls `stop` and begins nothing more.
    """

    def __init__(
        self,
        handler: Handler,
        source: EventSource,
        writer: EventWriter,
        log: InferenceLog,
        metrics: LaneMetrics,
        limit: RejectionLimit,
        retries: Retries,
        max_records: int,
        max_in_flight: int,
        group: str,
        clock: Callable[[], datetime],
        stop: Callable[[], None],
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self.failure: Exception | None = None
        self.release_seconds = RELEASE_SECONDS
        self.in_hand = InHand(max_in_flight, metrics.in_hand)
        self.member = False
        """Whether the group ever gave it partitions, if only none."""
        self._handler = handler
        self._source = source
        self._writer = writer
        self._log = log
        self._metrics = metrics
        self._limit = limit
        self._trying = Trying(retries, self.in_hand, metrics)
        self._max_records = max_records
        self._group = group
        self._clock = clock
        self._stop = stop
        self._tracing = tracing
        self._computing, self._publishing, self._settling = (asyncio.Lock() for _ in range(3))
        self._computed: list[tuple[Work, Results]] = []
        self._published: list[tuple[Work, Results]] = []
        self._committed_at = -COMMIT_SECONDS
        self._pace = math.inf  # seconds per event, as of the last batch
        self._tasks: set[asyncio.Task[None]] = set()

    def claimed(self, claims: Sequence[Claim]) -> None:
        """See `Taker`."""
        self.member = True
        self.in_hand.claimed(claims)
        if self.failure is not None:
            self.in_hand.close(claims)

    async def take(self, claim: Claim, events: Sequence[Received]) -> None:
        """See `Taker`. After what fails unexpectedly nothing is taken any more."""
        try:
            await self._take(claim, events)
        except Exception as error:
            self.fail(error)

    async def _take(self, claim: Claim, events: Sequence[Received]) -> None:
        for start in range(0, len(events), self._max_records):
            if not await self.in_hand.room(claim):
                return
            piece = events[start : start + self._max_records]
            work = self.in_hand.add(claim, piece, self._max_records)
            if work is not None:
                task = asyncio.create_task(self._process(work))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def release(self, claims: Sequence[Claim]) -> None:
        """See `Taker`."""
        await self.in_hand.end(claims, self.release_seconds)
        for claim in claims:
            self._metrics.no_lag(claim.hub, claim.partition)

    def fail(self, error: Exception) -> None:
        """Keep the first error as `failure` and stop."""
        if self.failure is None:
            self.failure = error
            self.in_hand.close(self.in_hand.claims)
            self._stop()

    async def _process(self, work: Work) -> None:
        """One batch through the rooms."""
        try:
            with contextlib.ExitStack() as stack:
                # Between two rooms nothing waits, so none overtakes another.
                async with self._computing:
                    work.open = False
                    hub, headers = work.claim.hub, (event.headers for event in work.events)
                    span = stack.enter_context(
                        self._tracing.process_span(hub, self._group, headers)
                    )
                    results = await self._compute(work, span)
                    self._computed.append((work, results))
                async with self._publishing:
                    await self._publish(work)
                async with self._settling:
                    await self._settle(work)
        except Dropped:
            if not work.claim.closing:  # what is dropped and committed over would be lost
                self.fail(RuntimeError("a batch was dropped although its claim goes on"))
        except Exception as error:
            self.fail(error)
        finally:
            self.in_hand.done(work)

    async def _compute(self, work: Work, span: BatchSpan) -> Results:
        """1 decode, 2 validate, 3 score."""
        if work.claim.closing:
            raise Dropped
        began = time.perf_counter()
        with self._tracing.span("score"):
            results = await self._results(work.events)
        self._pace = (time.perf_counter() - began) / len(work.events)
        traces = [event.traceparent for event in results.events]
        span.link(trace for trace in traces if isinstance(trace, str))
        span.scored(len(results.scored), results.scored.model)
        rejections = {r.rejection.position: r.rejection.code for r in results.rejected}
        self._limit.look(rejections, len(work.events))
        return results

    async def _results(self, events: Sequence[Received]) -> Results:
        """In a thread, unless it is soon done: to wake one costs more than that."""
        now = self._clock()
        if self._pace * len(events) < QUICK_SECONDS:
            return self._handler.compute(events, now)
        return await asyncio.to_thread(self._handler.compute, events, now)

    async def _publish(self, work: Work) -> None:
        """Publish what was computed, unless that was done with an earlier batch."""
        if work.published:
            return
        if work.claim.closing:
            raise Dropped
        group = self._next_computed()
        if not any(work is other for other, _ in group):
            raise Dropped  # with the batch that took it along
        for begun, _ in group:
            begun.begun = True

        async def step(attempt: int) -> None:
            # 4 publish scores
            scores = [score for _, results in group for score in results.scores]
            await self._send(self._handler.scores_hub, scores)
            # 5 publish dead letters
            letters = [self._handler.dead_letters(results, attempt) for _, results in group]
            await self._send(self._handler.dead_letters_hub, [*chain.from_iterable(letters)])

        await self._trying.until_done("publish", list({w.claim for w, _ in group}), step)
        for done, _ in group:
            done.published = True
        self._published += group

    def _next_computed(self) -> list[tuple[Work, Results]]:
        """Batches that wait to be published, the oldest first, without those whose claims end."""
        waiting = [(work, results) for work, results in self._computed if not work.claim.closing]
        records, count = 0, 0
        for work, _ in waiting:
            if count and records + len(work.events) > self._max_records * PUBLISHED_BATCHES:
                break
            records += len(work.events)
            count += 1
        self._computed = waiting[count:]
        return waiting[:count]

    async def _send(self, hub: str, messages: Sequence[Outgoing]) -> None:
        """With a header that continues the trace, when there is one."""
        if not messages:
            return
        with self._tracing.send_span(hub, len(messages)) as span:
            if span.headers:
                messages = [
                    Outgoing(m.hub, m.key, m.value, (*m.headers, *span.headers)) for m in messages
                ]
            await self._writer.write(messages)

    async def _settle(self, work: Work) -> None:
        """Settle everything that was published, unless that was done with an earlier batch."""
        if work.settled:
            return
        if not any(work is other for other, _ in self._published):
            raise Dropped  # with the batch that took it along
        await asyncio.sleep(self._committed_at + COMMIT_SECONDS - time.monotonic())
        group, self._published = self._published, []
        group = [(work, results) for work, results in group if not work.claim.lost]
        if not group:
            raise Dropped
        last = {work.claim: work.last for work, _ in group}  # the last of each claim
        entries = LogBatch.concat([results.entries for _, results in group])

        async def append(_: int) -> None:
            # 6 append the inference log, in a thread because storage blocks
            with self._tracing.span("log"):
                await asyncio.to_thread(self._log.append, entries)

        async def commit(_: int) -> None:
            # 7 commit
            with self._tracing.span("commit"):
                self._committed_at = time.monotonic()
                await self._source.commit(last)

        try:
            await self._trying.until_done("log", list(last), append)
            await self._trying.until_done("commit", list(last), commit)
        except BaseException as error:
            for claim in last:  # or a later batch of it would be committed over this one
                claim.closing = claim.lost = True
            if not isinstance(error, PartitionsMoved):
                raise
            logger.warning("partitions moved; the events are redelivered elsewhere")
            raise Dropped from None
        self._metrics.committed()
        for done, results in group:
            done.settled = not done.claim.lost
            if done.settled:
                self._count(results)

    def _count(self, results: Results) -> None:
        scored, rejected = len(results.scored), len(results.rejected)
        seconds = results.seconds
        self._metrics.scored(
            scored, rejected, sum(seconds[s] for s in ("decode", "validate", "score"))
        )
        for stage, spent in seconds.items():
            self._metrics.stage(stage, spent)
        self._metrics.dead_letters(rejected)
        self._metrics.logged("accepted", len(results.entries))
        self._metrics.logged("written", len(results.entries))
