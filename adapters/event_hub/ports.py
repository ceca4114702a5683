"""What a worker sees of an event hub: where events come from and where results go.

A source gives partitions to a worker as claims and takes them away again; the same partition given
again is another claim. Whatever belongs to a claim that is lost is somebody else's work.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, Self

from adapters.event_hub.messages import Outgoing, Received
from scoring.errors import BrokerUnavailable, TrilaneError


class PartitionsMoved(BrokerUnavailable):
    """The group gave these partitions to another member; it gets the uncommitted events again."""


class Claim:
    """One partition, from when it is given to this worker until it is taken away.

    Compared by identity. `closing`: begin nothing new of it. `lost`: commit nothing of it.
    """

    def __init__(self, hub: str, partition: int) -> None:
        self.hub = hub
        self.partition = partition
        self.closing = False
        self.lost = False

    def __repr__(self) -> str:
        return f"Claim({self.hub}/{self.partition})"


class Taker(Protocol):
    """Who takes events. Every method is called in the event loop."""

    def claimed(self, claims: Sequence[Claim]) -> None:
        """These partitions are the worker's from now on. May be empty: it is a member, and others
        have all partitions.
        """
        ...

    async def take(self, claim: Claim, events: Sequence[Received]) -> None:
        """Events of one claim, at least one, in order, following those taken before.

        Waits while too much is in hand; what waits may be cancelled, and is then not taken. Events
        of a claim that is closing or lost are dropped. Raises nothing else.
        """
        ...

    async def release(self, claims: Sequence[Claim]) -> None:
        """Finish and commit what was begun of these claims, drop the rest, and mark them lost.

        Returns within seconds, with something left uncommitted if need be. Repeating it is safe.
        """
        ...

    def fail(self, error: TrilaneError) -> None:
        """Events cannot be had any more."""
        ...


class EventSource(Protocol):
    """Where events come from."""

    async def start(self, taker: Taker) -> None:
        """Join the group; returns once it is a member. From then on it calls the taker.

        A partition of which the group committed nothing begins at the earliest event. A partition
        whose events the taker does not take is paused; the others go on, and membership is kept.
        Raises BrokerUnavailable, ConfigurationError.
        """
        ...

    async def stop(self) -> None:
        """Release all claims, leave the group and disconnect. Safe when it never started."""
        ...

    async def commit(self, last: Mapping[Claim, Received]) -> None:
        """The group has done everything of these claims up to and including these events.

        Claims that are lost are left out. Raises PartitionsMoved when they are another member's by
        now, BrokerUnavailable when it was not confirmed in time (it may have been done all the
        same). May be repeated.
        """
        ...

    async def lag(self) -> Mapping[Claim, int]:
        """For each claim how many events are in its partition that were not committed; 0 for a
        partition that was never written. May be some seconds old; a claim of which nothing is
        known is left out. Raises BrokerUnavailable.
        """
        ...


class EventWriter(Protocol):
    """Where events are published. `async with` connects and closes."""

    async def connect(self) -> None:
        """Raises BrokerUnavailable when the hub does not answer or one of the hubs is missing."""
        ...

    async def close(self) -> None:
        """Finish what is under way and disconnect; nothing happens when not connected."""
        ...

    async def write(self, messages: Sequence[Outgoing]) -> None:
        """Returns when the hub has acknowledged all of them.

        Order is kept per key. Raises BrokerUnavailable when it has not, within a minute or so; any
        of them may have arrived then. Raises InputError, with nothing sent, when one is too large
        for any request.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, kind: object, error: object, trace: object) -> None: ...
