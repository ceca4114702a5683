"""An event hub in memory: a source and a writer that keep what `ports.py` promises."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Self

from adapters.event_hub.messages import MAX_REQUEST_BYTES, Outgoing, Received
from adapters.event_hub.partitioning import place_of_key
from adapters.event_hub.ports import Claim, PartitionsMoved, Taker
from scoring.errors import BrokerUnavailable, InputError


class MemoryHub:
    """A namespace: hubs of as many partitions, and what consumer groups committed. One event loop
    uses it, or several one after the other.
    """

    def __init__(self, hubs: Sequence[str], partitions: int) -> None:
        self.events: dict[str, list[list[Received]]] = {
            hub: [[] for _ in range(partitions)] for hub in hubs
        }
        self._groups: dict[tuple[str, str], _Group] = {}

    def group(self, hub: str, name: str) -> "_Group":
        """Raises BrokerUnavailable when there is no such hub."""
        if hub not in self.events:
            raise BrokerUnavailable(f"there is no hub {hub}")
        return self._groups.setdefault((hub, name), _Group(hub, self.events[hub]))

    def add(self, message: Outgoing, turn: int) -> None:
        """Keep an event; one without key in the partition whose `turn` it is."""
        partitions = self.events[message.hub]
        key, count = message.key, len(partitions)
        number = turn % count if key is None else place_of_key(key, count)
        offset, now = len(partitions[number]), int(time.time() * 1000)
        partitions[number].append(
            Received(message.hub, number, offset, now, key, message.value, message.headers)
        )
        for (hub, _), group in self._groups.items():
            if hub == message.hub:
                group.arrived()


class _Group:
    """A consumer group: its members share the partitions."""

    def __init__(self, hub: str, partitions: list[list[Received]]) -> None:
        self.hub = hub
        self.partitions = partitions
        self.committed: dict[int, int] = {}
        self.arrival = asyncio.Event()
        self._members: list[MemorySource] = []
        self._turn = asyncio.Lock()

    async def join(self, member: "MemorySource") -> None:
        """Distribute the partitions anew, with it."""
        async with self._turn:
            await self._distribute([*self._members, member])

    async def leave(self, member: "MemorySource") -> None:
        """Distribute the partitions anew, without it."""
        async with self._turn:
            await member.give_back()
            await self._distribute([other for other in self._members if other is not member])

    async def _distribute(self, members: list["MemorySource"]) -> None:
        await asyncio.gather(*(member.give_back() for member in self._members))
        self._members = members
        for place, member in enumerate(members):
            numbers = range(place, len(self.partitions), len(members))
            member.given([Claim(self.hub, number) for number in numbers])

    def arrived(self) -> None:
        """Wake those who wait for events."""
        self.arrival.set()
        self.arrival = asyncio.Event()


class MemorySource:
    """An `EventSource` of a hub in memory."""

    def __init__(self, hub: MemoryHub, name: str, group: str, max_records: int) -> None:
        self._hub, self._name, self._group_name = hub, name, group
        self._max_records = max_records
        self._taker: Taker | None = None
        self._group: _Group | None = None
        self._claims: dict[Claim, asyncio.Task[None]] = {}

    async def start(self, taker: Taker) -> None:
        """See `EventSource`."""
        self._taker = taker
        group = self._hub.group(self._name, self._group_name)
        self._group = group
        await group.join(self)

    async def stop(self) -> None:
        """See `EventSource`."""
        group, self._group = self._group, None
        if group is not None:
            await group.leave(self)

    async def commit(self, last: Mapping[Claim, Received]) -> None:
        """See `EventSource`."""
        mine = {claim: event for claim, event in last.items() if not claim.lost}
        if not mine.keys() <= self._claims.keys():
            raise PartitionsMoved("the partitions moved to another worker")
        for claim, event in mine.items():
            self._hub.group(self._name, self._group_name).committed[claim.partition] = (
                event.offset + 1
            )

    async def lag(self) -> Mapping[Claim, int]:
        """See `EventSource`."""
        group = self._hub.group(self._name, self._group_name)
        return {
            c: len(group.partitions[c.partition]) - group.committed.get(c.partition, 0)
            for c in self._claims
        }

    def given(self, claims: Sequence[Claim]) -> None:
        """The group gives it these partitions."""
        assert self._taker is not None
        self._taker.claimed(claims)
        self._claims = {claim: asyncio.create_task(self._deliver(claim)) for claim in claims}

    async def give_back(self) -> None:
        """The group takes all of them away."""
        assert self._taker is not None
        if self._claims:
            await self._taker.release(list(self._claims))
        claims, self._claims = self._claims, {}
        for claim, task in claims.items():
            claim.closing = claim.lost = True
            task.cancel()
        await asyncio.gather(*claims.values(), return_exceptions=True)

    async def _deliver(self, claim: Claim) -> None:
        assert self._taker is not None
        group = self._hub.group(self._name, self._group_name)
        position = group.committed.get(claim.partition, 0)
        while True:
            waiting = group.partitions[claim.partition][position : position + self._max_records]
            if waiting:
                await self._taker.take(claim, tuple(waiting))
                position += len(waiting)
            else:
                await group.arrival.wait()


class MemoryHubWriter:
    """An `EventWriter` to a hub in memory."""

    def __init__(self, hub: MemoryHub, names: Sequence[str]) -> None:
        self._hub = hub
        self._names = names
        self._turn = 0

    async def connect(self) -> None:
        """See `EventWriter`."""
        missing = [name for name in self._names if name not in self._hub.events]
        if missing:
            raise BrokerUnavailable(f"there is no hub {missing[0]}")

    async def close(self) -> None:
        """See `EventWriter`."""

    async def write(self, messages: Sequence[Outgoing]) -> None:
        """See `EventWriter`."""
        for message in messages:
            if message.size > MAX_REQUEST_BYTES:
                raise InputError(f"an event for {message.hub} exceeds {MAX_REQUEST_BYTES} bytes")
        for message in messages:
            self._turn += 1
            self._hub.add(message, self._turn)

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        await self.close()
