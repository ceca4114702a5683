"""One batch at a time, with bounded retries, until told to stop or until something is broken."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.event_hub import MAX_BATCH_SECONDS, Received
from adapters.event_subscriber import PartitionsMoved
from adapters.telemetry import LaneMetrics
from adapters.tracing import NO_SPAN, BatchSpan
from scoring.errors import TransientError
from stream_worker.handler import Handler, Results

logger = logging.getLogger(__name__)

Commit = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a batch's results are delivered, and how long to wait in between: `first_seconds`,
    doubled each time, never more than `longest_seconds`.
    """

    attempts: int = 5
    first_seconds: float = 0.5
    longest_seconds: float = 8.0

    def delay(self, attempt: int) -> float:
        """Seconds to wait after the attempt of that number (from 1) failed."""
        return float(min(self.first_seconds * 2.0 ** (attempt - 1), self.longest_seconds))


class Worker:
    """Takes batches, one after the other.

    A transient failure is retried in place with the batch still in hand, so nothing can be skipped.
    When the attempts are used up, or on any other error, the worker keeps the error as `failure`,
    calls `stop`, and takes nothing more: the batch stays uncommitted. A batch whose partitions
    moved to another worker is dropped, because that one receives it again.
    """

    def __init__(
        self,
        handler: Handler,
        metrics: LaneMetrics,
        retries: Retries,
        clock: Callable[[], datetime],
        stop: Callable[[], None],
    ) -> None:
        self.failure: Exception | None = None
        self._handler = handler
        self._metrics = metrics
        self._retries = retries
        self._clock = clock
        self._stop = stop
        self._started = False
        self._draining = asyncio.Event()
        self._batch_since: float | None = None

    def started(self) -> None:
        """The group has given this worker its partitions."""
        self._started = True

    def drain(self) -> None:
        """Finish the batch in hand without waiting for another attempt, and take no more."""
        self._draining.set()

    def ready(self) -> bool:
        """Whether events are being taken. Callable from any thread."""
        return self._started and self.failure is None and not self._draining.is_set()

    def alive(self) -> bool:
        """False when a batch is stuck for longer than the group waits. Callable from any thread."""
        since = self._batch_since
        return since is None or time.monotonic() - since < MAX_BATCH_SECONDS

    def fail(self, error: Exception) -> None:
        """Keep the first error as `failure` and stop."""
        if self.failure is None:
            self.failure = error
            self._stop()

    async def take(
        self, events: Sequence[Received], commit: Commit, span: BatchSpan = NO_SPAN
    ) -> None:
        """Handle one batch; `commit` commits exactly these events. Raises nothing."""
        if not events or self.failure is not None or self._draining.is_set():
            return
        self._batch_since = time.monotonic()
        try:
            await self._handle(events, commit, span)
        except PartitionsMoved:
            logger.warning("partitions moved; the batch is redelivered elsewhere")
        except Exception as error:
            self.fail(error)
        finally:
            self._batch_since = None

    async def _handle(self, events: Sequence[Received], commit: Commit, span: BatchSpan) -> None:
        began = time.perf_counter()
        results = await asyncio.to_thread(self._handler.compute, events, self._clock())
        seconds = time.perf_counter() - began
        span.link(event.traceparent for event in results.events)
        span.scored(len(results.scored), results.scored.model)
        if await self._deliver(results, commit):
            self._count(results, seconds)

    async def _deliver(self, results: Results, commit: Commit) -> bool:
        """Whether the batch was committed; False when draining cut the retries short."""
        for attempt in range(1, self._retries.attempts + 1):
            try:
                await self._handler.deliver(results, attempt, commit)
                return True
            except PartitionsMoved:
                raise
            except TransientError as error:
                if attempt == self._retries.attempts:
                    raise
                logger.warning(
                    "delivery failed, trying again", extra={"attempt": attempt, "error": str(error)}
                )
            if await self._drained_within(self._retries.delay(attempt)):
                return False
        return False

    async def _drained_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._draining.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _count(self, results: Results, seconds: float) -> None:
        self._metrics.scored(len(results.scored), len(results.rejected), seconds)
        self._metrics.dead_letters(len(results.rejected))
        self._metrics.logged("accepted", len(results.entries))
        self._metrics.logged("written", len(results.entries))
