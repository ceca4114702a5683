"""What is in hand: bounded, in order, and known by claim."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from adapters.event_hub.messages import Received
from adapters.event_hub.ports import Claim

MAX_BYTES: Final = 64 * 1024 * 1024
"""Of events in hand; one more batch is taken as long as it is not reached."""


class Dropped(Exception):
    """A claim ended before a batch of it was done; somebody else does it again."""


@dataclass(eq=False, slots=True)
class Work:
    """Events of one claim that go through the steps together."""

    claim: Claim
    events: list[Received]
    bytes: int
    open: bool = True
    """Whether it still waits for its turn, so that more events may join it."""
    begun: bool = False
    """Whether something of it may have been published."""
    published: bool = False
    settled: bool = False

    @property
    def last(self) -> Received:
        """The event up to which the claim can be committed afterwards."""
        return self.events[-1]


@dataclass(slots=True)
class _Hold:
    """One claim: its work, and when it last got on."""

    progress: float
    works: set[Work] = field(default_factory=set)
    newest: Work | None = None
    lag: int = 0


class InHand:
    """The claims and the work of each. Used in the event loop; `stalled` from any thread."""

    def __init__(self, max_records: int, changed: Callable[[int], None]) -> None:
        """`changed` is told the number of events in hand whenever it changes."""
        self._max_records = max_records
        self._changed = changed
        self._records = 0
        self._bytes = 0
        self._holds: dict[Claim, _Hold] = {}
        self._event = asyncio.Event()

    @property
    def claims(self) -> list[Claim]:
        """Those of now."""
        return list(self._holds)

    def claimed(self, claims: Sequence[Claim]) -> None:
        """These are new."""
        self._holds |= {claim: _Hold(time.monotonic()) for claim in claims}

    async def room(self, claim: Claim) -> bool:
        """Wait until more can be taken; False when the claim ends before.

        As long as the caller adds before it waits for anything, no two get the same room.
        """
        await self._until(lambda: claim.closing or self._has_room())
        return not claim.closing and claim in self._holds

    def add(self, claim: Claim, events: Sequence[Received], most: int) -> Work | None:
        """These are in hand now: with the claim's newest work while that waits and has not more
        than `most` events with them, else as new work, which is returned.
        """
        hold = self._holds[claim]
        newest = hold.newest
        size = sum([event.size for event in events])
        self._count(len(events), size)
        if newest is not None and newest.open and len(newest.events) + len(events) <= most:
            newest.events.extend(events)
            newest.bytes += size
            return None
        hold.newest = work = Work(claim, list(events), size)
        hold.works.add(work)
        return work

    def done(self, work: Work) -> None:
        """It is settled or dropped."""
        hold = self._holds.get(work.claim)
        if hold is not None:
            hold.works.discard(work)
            if hold.newest is work:
                hold.newest = None
            if work.settled:
                hold.progress = time.monotonic()
        self._count(-len(work.events), -work.bytes)
        self._notify()

    def close(self, claims: Sequence[Claim]) -> None:
        """Begin nothing new of these claims."""
        for claim in claims:
            claim.closing = True
        self._notify()

    async def closing(self, claims: Sequence[Claim], seconds: float) -> bool:
        """Whether all of these claims are, by then."""
        return await self._until(lambda: all(claim.closing for claim in claims), seconds)

    async def end(self, claims: Sequence[Claim], seconds: float) -> None:
        """Nothing new of these claims; wait so long for what was begun; then they are lost."""
        self.close(claims)
        await self._until(lambda: not any(map(self._begun, claims)), seconds)
        for claim in claims:
            claim.lost = True
            self._holds.pop(claim, None)

    def lags(self, claim: Claim, lag: int) -> None:
        """Take note of how many events of a claim wait."""
        hold = self._holds.get(claim)
        if hold is not None:
            hold.lag = lag
            if not lag:
                hold.progress = time.monotonic()

    def stalled(self, seconds: float) -> Claim | None:
        """A claim whose events wait, or are in hand, without progress for longer than that."""
        oldest = time.monotonic() - seconds
        for claim, hold in list(self._holds.items()):
            if (hold.lag or hold.works) and hold.progress < oldest:
                return claim
        return None

    def _notify(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    async def _until(self, condition: Callable[[], bool], seconds: float | None = None) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    await self._event.wait()
        except TimeoutError:
            return False
        return True

    def _begun(self, claim: Claim) -> bool:
        hold = self._holds.get(claim)
        return hold is not None and any(work.begun for work in hold.works)

    def _has_room(self) -> bool:
        return self._records < self._max_records and self._bytes < MAX_BYTES

    def _count(self, records: int, size: int) -> None:
        self._records += records
        self._bytes += size
        self._changed(self._records)
