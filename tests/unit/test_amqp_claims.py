"""Partitions as the SDK gives and takes them, and what the taker hears of it."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from azure.eventhub import CloseReason, EventData
from azure.eventhub.aio import CheckpointStore, PartitionContext
from azure.eventhub.exceptions import ConnectError, ConnectionLostError, EventHubError

from adapters.event_hub.amqp_checkpoints import GroupStore
from adapters.event_hub.amqp_claims import AmqpClaims
from adapters.event_hub.amqp_holds import DEAF_SECONDS, SILENT_SECONDS
from adapters.event_hub.amqp_troubles import PATIENCE_SECONDS
from adapters.event_hub.messages import Received
from adapters.event_hub.ports import Claim
from scoring.errors import BrokerUnavailable, ConfigurationError, InputError
from tests.contract.event_hubs import Collector
from tests.support.amqp_events import event


class Store(CheckpointStore):
    """A checkpoint store with one checkpoint."""

    async def list_ownership(self, *_: str, **__: Any) -> Iterable[dict[str, Any]]:
        """Nobody owns anything."""
        return []

    async def claim_ownership(
        self, ownership_list: Iterable[dict[str, Any]], **_: Any
    ) -> Iterable[dict[str, Any]]:
        """Granted."""
        return ownership_list

    async def update_checkpoint(self, checkpoint: dict[str, Any], **_: Any) -> None:
        """Forgotten."""

    async def list_checkpoints(self, *_: str, **__: Any) -> Iterable[dict[str, Any]]:
        """One."""
        return [{"partition_id": "1", "offset": "40", "sequence_number": 4}]


class Watching(Collector):
    """Remembers how many events came at once, and whether claims were lost before they had to be
    released.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.lost: list[bool] = []

    async def take(self, claim: Claim, events: Sequence[Received]) -> None:
        """Count them first."""
        self.sizes.append(len(events))
        await super().take(claim, events)

    async def release(self, claims: Sequence[Claim]) -> None:
        """Look at them first."""
        self.lost += [claim.lost for claim in claims]
        await super().release(claims)


class Member:
    """The claims of one member, and the SDK's side of them."""

    def __init__(self, max_records: int = 10) -> None:
        self.taker = Watching()
        self.looked = 0
        self.rounds: list[Exception] = []
        self.store = GroupStore(Store(), self._look)
        self.now = 0.0
        self.claims = AmqpClaims(
            "hub", max_records, self.store, self.taker, self.rounds.append, lambda: self.now
        )
        self.contexts = [PartitionContext("host", "hub", "group", str(n)) for n in range(2)]

    def _look(self) -> None:
        self.looked += 1

    async def close(self, partition: int, error: Exception | None = None) -> None:
        """As the SDK closes a partition: after an error, or because another member has it."""
        if error is not None:
            await self.claims.failed(self.contexts[partition], error)
        await self.claims.taken_away(self.contexts[partition], CloseReason.OWNERSHIP_LOST)


def stolen() -> ConnectionLostError:
    """Another member's receiver has taken its place."""
    error = ConnectionLostError("New receiver with the same epoch")
    error.error = "link:stolen"
    return error


@pytest.fixture
async def member() -> Member:
    """A member that has both partitions."""
    member = Member()
    await member.store.list_ownership("host", "hub", "group")
    await member.store.list_checkpoints("host", "hub", "group")
    for context in member.contexts:
        await member.claims.given(context)
    return member


async def test_partitions_are_claims(member: Member) -> None:
    """Of the hub, by number; the group's checkpoint is where the lag begins."""
    assert member.looked == 1
    assert [(c.hub, c.partition) for c in member.taker.claims] == [("hub", 0), ("hub", 1)]
    events = [event(5), event(6)]
    await member.claims.take(member.contexts[1], events)
    holds = member.claims.holds
    assert [hold.lag() for hold in holds] == [None, 2]


async def test_batches_are_taken_in_pieces() -> None:
    """Of no more records than asked for, in order."""
    member = Member(max_records=3)
    await member.claims.given(member.contexts[0])
    await member.claims.take(member.contexts[0], [event(n) for n in range(8)])
    assert member.taker.sizes == [3, 3, 2]
    assert [e.offset for e in member.taker.events] == list(range(8))


async def test_events_of_no_claim_are_dropped(member: Member) -> None:
    """Of a partition that was closed; the next claim of it begins at the checkpoint."""
    await member.close(0)
    await member.claims.take(member.contexts[0], [event(0)])
    await member.claims.take(member.contexts[1], [])
    assert member.taker.events == []


async def test_a_partition_that_another_member_took_is_lost_at_once(member: Member) -> None:
    """Nothing of it may be committed any more, whether its receiver noticed or the round did."""
    await member.close(0)
    await member.close(1, stolen())
    assert member.taker.lost == [True, True]
    assert member.taker.claims == []
    assert list(member.claims.holds) == []


async def test_a_partition_that_cannot_be_read_is_released_first(
    member: Member, caplog: pytest.LogCaptureFixture
) -> None:
    """It is still this member's: what was begun can be committed. Given again, it is another."""
    first = member.taker.claims[0]
    with caplog.at_level(logging.WARNING):
        await member.close(0, ConnectError("refused"))
    assert member.taker.lost == [False]
    assert first.lost
    [record] = caplog.records
    assert record.__dict__["event"] == "interrupted"
    assert (record.__dict__["hub"], record.__dict__["partition"]) == ("hub", "0")
    assert record.__dict__["error"] == "ConnectError: refused"
    await member.claims.given(member.contexts[0])
    assert {claim.partition for claim in member.taker.claims} == {0, 1}
    assert first not in member.taker.claims


async def test_a_partition_lost_without_a_word_is_released_when_it_is_given(
    member: Member,
) -> None:
    """The SDK forgets to close a partition when its connection does not close."""
    first = member.taker.claims[0]
    await member.claims.given(member.contexts[0])
    assert first.lost
    assert [claim.partition for claim in member.taker.claims] == [1, 0]


async def test_a_member_that_leaves_releases_everything(
    member: Member, caplog: pytest.LogCaptureFixture
) -> None:
    """While nothing is lost; it takes no more partitions, and errors are no news."""
    with caplog.at_level(logging.WARNING):
        await member.claims.release()
        for number in (0, 1):
            await member.claims.take(member.contexts[number], [event(0)])
            await member.close(number, ConnectError("closing") if number else None)
            await member.claims.given(member.contexts[number])
    assert member.taker.lost[:2] == [False, False]
    assert member.taker.claims == []
    assert member.taker.events == []
    assert caplog.records == []
    member.claims.fail(BrokerUnavailable("x"))
    assert member.taker.failure is None


async def test_a_round_that_fails_is_told(member: Member) -> None:
    """No partition is concerned: the SDK tries again in the next round."""
    error = OSError("storage")
    await member.claims.failed(None, error)
    assert member.rounds == [error]
    assert len(member.taker.claims) == 2


async def test_what_waits_for_the_taker_may_be_cancelled(member: Member) -> None:
    """As the SDK does when the partition is taken away; nothing of it was taken."""
    member.taker.close(0)
    events: list[EventData] = [event(0)]
    waiting = asyncio.create_task(member.claims.take(member.contexts[0], events))
    await asyncio.sleep(0.01)
    [hold, _] = member.claims.holds
    assert hold.giving
    waiting.cancel()
    await asyncio.wait({waiting})
    assert not hold.giving
    assert member.taker.events == []


class Answering:
    """The SDK's client, as far as it is asked."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    async def get_partition_properties(self, _: str) -> dict[str, Any]:
        """Two events, or an error."""
        if self.error is not None:
            raise self.error
        return {
            "beginning_sequence_number": 0,
            "last_enqueued_sequence_number": 1,
            "is_empty": False,
        }


async def test_a_sign_in_that_is_refused_from_some_time_on_ends_the_worker(
    member: Member,
) -> None:
    """The SDK's receivers say nothing of it; the hub does when it is asked. Not at once: it may be
    over soon.
    """
    client, [hold, _] = Answering(), member.claims.holds
    refused = ConnectError("unauthorized")
    refused.error = "unauthorized-access"

    async def ask(error: Exception | None) -> None:
        client.error = error
        with pytest.raises(ConnectError) if error else contextlib.nullcontext():
            await member.claims.ask(client, hold)  # type: ignore[arg-type]

    await ask(refused)
    member.now += PATIENCE_SECONDS
    await ask(None)
    assert hold.lag() == 2
    await ask(refused)
    member.now += PATIENCE_SECONDS - 1
    await ask(refused)
    assert member.taker.failure is None
    member.now += 1
    await ask(refused)
    assert isinstance(member.taker.failure, ConfigurationError)


@pytest.mark.parametrize("outage", [ConnectError("refused"), asyncio.CancelledError()])
async def test_a_receiver_that_is_refused_ends_the_worker(
    member: Member, outage: BaseException
) -> None:
    """The SDK says nothing, not even that there are no events; the hub answers."""
    client, holds = Answering(), list(member.claims.holds)

    async def look(seconds: float) -> None:
        member.now += seconds
        await member.claims.take(member.contexts[1], [])
        for hold in holds:
            await member.claims.ask(client, hold)  # type: ignore[arg-type]

    await look(0)
    await look(SILENT_SECONDS)
    await look(DEAF_SECONDS - 1)
    client.error = outage
    with pytest.raises(type(outage)):  # from its end on, time counts anew
        await look(1)
    client.error = None
    await look(1)
    assert member.taker.failure is None
    await look(DEAF_SECONDS)
    assert isinstance(member.taker.failure, ConfigurationError)
    assert str(member.taker.failure).startswith("partition 0 of hub cannot be read")


async def test_a_partition_that_stays_refused_ends_the_worker(member: Member) -> None:
    """Claimed again and again, it never gives an event."""
    for _ in range(2):
        assert member.taker.failure is None
        error = ConnectionLostError("unauthorized")
        error.error = "unauthorized-access"
        await member.close(0, error)
        await member.claims.given(member.contexts[0])
        member.now += PATIENCE_SECONDS
    assert isinstance(member.taker.failure, ConfigurationError)


async def test_an_event_that_cannot_be_decoded_ends_the_worker(member: Member) -> None:
    """When it is in the way three times in a row; events in between are progress."""
    for progress in (True, True, True, True, False, False):
        assert member.taker.failure is None
        if progress:
            await member.claims.take(member.contexts[0], [event(0)])
        error = EventHubError("'NoneType' object is not callable")
        error.__context__ = TypeError("'NoneType' object is not callable")
        await member.close(0, error)
        await member.claims.given(member.contexts[0])
    assert isinstance(member.taker.failure, InputError)
