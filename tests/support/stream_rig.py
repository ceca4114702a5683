"""A pipeline with ends in memory; the test itself is the hub of events."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from adapters.event_hub.messages import Received
from adapters.event_hub.ports import Claim, EventWriter, Taker
from adapters.event_hub.retries import Retries
from adapters.telemetry import LaneMetrics
from adapters.tracing import NO_TRACING, Tracing
from scoring.inference_log import InferenceLog
from scoring.model import ModelBundle
from stream_worker.handler import Handler
from stream_worker.limits import RejectionLimit
from stream_worker.pipeline import Pipeline
from tests.support.broker import MemoryLog, MemoryWriter, event
from tests.support.toy import EXAMPLE

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
PATIENCE_SECONDS = 20.0


class TestedSource:
    """An `EventSource` that gives nothing by itself, and keeps what is committed, after failing as
    often as told.
    """

    __test__ = False

    def __init__(self, failures: Sequence[Exception] = ()) -> None:
        self.commits: list[Mapping[Claim, Received]] = []
        self.lags: dict[Claim, int] = {}
        self.failures = list(failures)
        self._taker: Taker | None = None
        self._claims: list[Claim] = []

    async def start(self, taker: Taker) -> None:
        """See `EventSource`."""
        self._taker = taker

    async def stop(self) -> None:
        """See `EventSource`."""
        if self._taker is not None:
            await self._taker.release(self._claims)

    def give(self, taker: Taker, *partitions: int) -> list[Claim]:
        """Claims of these partitions."""
        claims = [Claim("events", partition) for partition in partitions]
        self._claims += claims
        taker.claimed(claims)
        return claims

    async def commit(self, last: Mapping[Claim, Received]) -> None:
        """See `EventSource`."""
        if self.failures:
            raise self.failures.pop(0)
        self.commits.append({claim: e for claim, e in last.items() if not claim.lost})

    async def lag(self) -> Mapping[Claim, int]:
        """See `EventSource`."""
        if self.failures:
            raise self.failures.pop(0)
        return self.lags

    def offsets(self, claim: Claim) -> list[int]:
        """What was committed of a claim, one after the other."""
        return [last[claim].offset for last in self.commits if claim in last]


class Rig:
    """A pipeline, its ends, and how often it stopped."""

    def __init__(
        self,
        model: ModelBundle,
        writer: EventWriter | None = None,
        log: InferenceLog | None = None,
        source: TestedSource | None = None,
        limit: RejectionLimit | None = None,
        retries: Retries | None = None,
        max_records: int = 500,
        max_in_flight: int = 5_000,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self.stops = 0
        self.metrics = LaneMetrics("stream", "toy", "7")
        self.source = source or TestedSource()
        self.handler = Handler(model, "scores", "dead", 900_000)
        self.pipeline = Pipeline(
            self.handler,
            self.source,
            writer or MemoryWriter(),
            log or MemoryLog(),
            self.metrics,
            limit or RejectionLimit(1, 0),
            retries or Retries(60.0, 0.001, 0.002),
            max_records,
            max_in_flight,
            "group",
            lambda: NOW,
            self._stop,
            tracing,
        )

    def _stop(self) -> None:
        self.stops += 1

    def claim(self, partition: int = 0) -> Claim:
        """A claim that the pipeline was given."""
        return self.source.give(self.pipeline, partition)[0]

    def counted(self, name: str, **labels: str) -> float | None:
        """A sample of the metrics."""
        base = {"lane": "stream", "model": "toy", "version": "7"}
        return self.metrics.registry.get_sample_value(name, base | labels)

    @property
    def in_hand(self) -> int:
        """How many events are being worked on."""
        return int(self.counted("trilane_in_flight_records") or 0)

    async def idle(self) -> None:
        """Wait until nothing is in hand."""
        await until(lambda: not self.in_hand)


def batch(claim: Claim, first: int, count: int, poison: Sequence[int] = ()) -> tuple[Received, ...]:
    """Events of a claim from the offset `first` on, with ids PARTITION-OFFSET; those at the offsets
    of `poison` cannot be decoded.
    """
    return tuple(
        Received(
            claim.hub,
            claim.partition,
            offset,
            -1,
            b"k",
            b"{" if offset in poison else event(f"{claim.partition}-{offset}", EXAMPLE),
            (),
        )
        for offset in range(first, first + count)
    )


async def until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for what must happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.002)
