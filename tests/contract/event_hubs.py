"""What the contract of event hubs is run on, and a taker to run it with."""

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol

from adapters.event_hub.kafka_connection import KafkaConnection
from adapters.event_hub.messages import Outgoing, Received
from adapters.event_hub.opening import open_source, open_writer
from adapters.event_hub.ports import Claim, EventSource, EventWriter
from scoring.errors import TrilaneError
from tests.support.kafka.hubs import create_hubs
from tests.support.memory_hub import MemoryHub, MemoryHubWriter, MemorySource

PARTITIONS = 4
SESSION_SECONDS = 2.0
PATIENCE_SECONDS = 60.0
MAX_RECORDS = 50


class Namespace(Protocol):
    """Where hubs are."""

    def hub(self) -> str:
        """The name of one that is new and empty, of `PARTITIONS` partitions."""
        ...

    def source(self, hub: str, group: str = "group") -> EventSource:
        """A member of a group whose session ends after `SESSION_SECONDS`; gives at most
        `MAX_RECORDS` events at once.
        """
        ...

    def writer(self, *hubs: str) -> EventWriter:
        """A new connection that writes to them."""
        ...


class MemoryNamespace:
    """Hubs in memory."""

    def __init__(self) -> None:
        self._hub = MemoryHub((), PARTITIONS)

    def hub(self) -> str:
        """See `Namespace`."""
        name = uuid.uuid4().hex
        self._hub.events[name] = [[] for _ in range(PARTITIONS)]
        return name

    def source(self, hub: str, group: str = "group") -> EventSource:
        """See `Namespace`."""
        return MemorySource(self._hub, hub, group, MAX_RECORDS)

    def writer(self, *hubs: str) -> EventWriter:
        """See `Namespace`."""
        return MemoryHubWriter(self._hub, hubs)


class KafkaNamespace:
    """Hubs of a broker; `bootstrap` is an address where anybody may create them."""

    def __init__(self, connection: KafkaConnection, bootstrap: str) -> None:
        self._connection = connection
        self._bootstrap = bootstrap

    def hub(self) -> str:
        """See `Namespace`."""
        name = f"hub-{uuid.uuid4().hex}"
        create_hubs(self._bootstrap, [name], PARTITIONS)
        return name

    def source(self, hub: str, group: str = "group") -> EventSource:
        """See `Namespace`. A group of this hub only, as with Event Hubs."""
        return open_source(self._connection, hub, f"{hub}-{group}", MAX_RECORDS)

    def writer(self, *hubs: str) -> EventWriter:
        """See `Namespace`."""
        return open_writer(self._connection, hubs)


class Collector:
    """A `Taker` that keeps everything, and takes nothing of closed partitions."""

    def __init__(self, name: str = "", history: list[tuple[str, str, int]] | None = None) -> None:
        self.claims: list[Claim] = []
        self.taken: dict[Claim, list[Received]] = defaultdict(list)
        self.failure: TrilaneError | None = None
        self.member = False
        self.history = [] if history is None else history
        """Who was given which partition, and who released it, in order."""
        self._name = name
        self._taking: set[Claim] = set()
        self._closed: set[int] = set()
        self._opened = asyncio.Event()

    def close(self, *partitions: int) -> None:
        """Let their events wait."""
        self._closed |= set(partitions)

    def open(self) -> None:
        """Let nothing wait."""
        self._closed.clear()
        self._opened.set()
        self._opened = asyncio.Event()

    def claimed(self, claims: Sequence[Claim]) -> None:
        """See `Taker`."""
        self.member = True
        self.claims += claims
        self.history += [(self._name, "claimed", claim.partition) for claim in claims]

    async def take(self, claim: Claim, events: Sequence[Received]) -> None:
        """See `Taker`."""
        if not events or claim in self._taking:
            self.failure = TrilaneError(f"{len(events)} events while others are being taken")
        self._taking.add(claim)
        while claim.partition in self._closed and not claim.closing:
            opened = asyncio.ensure_future(self._opened.wait())
            await asyncio.wait({opened}, timeout=0.05)
            opened.cancel()
        if not claim.closing:
            assert claim in self.claims
            self.taken[claim] += events
        self._taking.discard(claim)

    async def release(self, claims: Sequence[Claim]) -> None:
        """See `Taker`."""
        for claim in claims:
            claim.closing = claim.lost = True
            if claim in self.claims:
                self.claims.remove(claim)
                self.history.append((self._name, "released", claim.partition))

    def fail(self, error: TrilaneError) -> None:
        """See `Taker`."""
        self.failure = error

    @property
    def events(self) -> list[Received]:
        """Everything that was taken, claim by claim."""
        return [event for events in self.taken.values() for event in events]

    @property
    def partitions(self) -> set[int]:
        """Those it has."""
        return {claim.partition for claim in self.claims}

    @property
    def last(self) -> dict[Claim, Received]:
        """The last event taken of each claim that it has."""
        return {claim: self.taken[claim][-1] for claim in self.claims if self.taken[claim]}

    async def has(self, count: int) -> None:
        """Wait for so many events."""
        await self.until(lambda: len(self.events) >= count)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what must happen."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert self.failure is None, self.failure
            assert time.monotonic() < deadline, (self.history, len(self.events))
            await asyncio.sleep(0.02)


def values(events: Sequence[Received | Outgoing]) -> list[bytes | None]:
    """Of events, in order."""
    return [event.value for event in events]


def messages(hub: str, first: int, count: int) -> list[Outgoing]:
    """Events with numbers for values, which spread over the partitions by their keys."""
    return [
        Outgoing(hub, f"key-{number % 40}".encode(), str(number).encode())
        for number in range(first, first + count)
    ]
