"""What every event hub promises to the worker, whatever protocol and broker lie behind it."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest

from adapters.event_hub.messages import Headers, Outgoing, Received
from adapters.event_hub.ports import EventSource
from scoring.errors import BrokerUnavailable, InputError
from tests.contract.event_hubs import (
    PARTITIONS,
    SESSION_SECONDS,
    Collector,
    Namespace,
    messages,
    values,
)

Join = Callable[..., Awaitable[EventSource]]


@pytest.fixture
def hub(namespace: Namespace) -> str:
    """A new one."""
    return namespace.hub()


@pytest.fixture
async def join(namespace: Namespace, hub: str) -> AsyncIterator[Join]:
    """Starts members for takers; those that are left stop at the end."""
    sources: list[EventSource] = []

    async def start(taker: Collector, group: str = "group") -> EventSource:
        source = namespace.source(hub, group)
        sources.append(source)
        await source.start(taker)
        return source

    yield start
    for source in sources:
        await source.stop()


async def write(namespace: Namespace, hub: str, first: int, count: int) -> list[bytes | None]:
    """Publish so many numbers; their values."""
    sent = messages(hub, first, count)
    async with namespace.writer(hub) as writer:
        await writer.write(sent)
    return values(sent)


HEADERS: Headers = (
    ("content-type", b"application/cloudevents+json; charset=UTF-8"),
    ("ce_id", "é-17".encode()),
    ("empty", b""),
)


async def test_what_is_written_comes_back_once_and_in_order(
    namespace: Namespace, hub: str, join: Join
) -> None:
    """Keys, values and text headers byte for byte, whichever connection wrote them; the events of a
    key keep their order, and all lie in one partition; offsets grow.
    """
    sent = [
        Outgoing(hub, f"clé-{n % 7}".encode(), bytes(range(256)) + str(n).encode(), HEADERS)
        for n in range(210)
    ]
    async with namespace.writer(hub) as one, namespace.writer(hub) as other:
        for start in range(0, len(sent), 21):
            await (one, other)[start % 2].write(sent[start : start + 21])
    taker = Collector()
    await join(taker)
    await taker.until(lambda: len(taker.events) >= len(sent))
    await asyncio.sleep(0.2)
    by_key: dict[bytes | None, list[Received]] = defaultdict(list)
    for event in taker.events:
        by_key[event.key].append(event)
        assert (event.hub, sorted(event.headers)) == (hub, sorted(HEADERS))
        assert abs(event.timestamp_ms / 1000 - time.time()) < 3600
    assert {key: values(events) for key, events in by_key.items()} == {
        key: values([m for m in sent if m.key == key]) for key in by_key
    }
    assert len(by_key) == 7
    for events in by_key.values():
        assert len({event.partition for event in events}) == 1
    for events in taker.taken.values():
        offsets = [event.offset for event in events]
        assert offsets == sorted(set(offsets))


async def test_events_without_key_are_spread(namespace: Namespace, hub: str, join: Join) -> None:
    """They arrive without one, and not all in one partition; a value may be empty."""
    async with namespace.writer(hub) as writer:
        await writer.write([Outgoing(hub, None, b"x" * size) for size in range(40)])
    taker = Collector()
    await join(taker)
    await taker.until(lambda: len(taker.events) >= 40)
    assert {event.key for event in taker.events} == {None}
    assert sorted(len(event.value or b"") for event in taker.events) == list(range(40))
    assert len({event.partition for event in taker.events}) > 1


async def test_a_key_keeps_its_partition(namespace: Namespace, hub: str, join: Join) -> None:
    """For every writer, in every hub of as many partitions: where it is depends on nothing else."""
    other = namespace.hub()
    found = []
    for name in (hub, other):
        for _ in range(2):
            async with namespace.writer(name) as writer:
                await writer.write([Outgoing(name, b"%d" % n, b"x") for n in range(20)])
    for name in (hub, other):
        taker, source = Collector(), namespace.source(name)
        try:
            await source.start(taker)
            await taker.has(40)
        finally:
            await source.stop()
        found.append({(event.key, event.partition) for event in taker.events})
    assert found[0] == found[1]
    assert len(found[0]) == 20
    del join


async def test_a_new_group_begins_at_the_earliest_event(
    namespace: Namespace, hub: str, join: Join
) -> None:
    """Whatever other groups have done before."""
    sent = await write(namespace, hub, 0, 100)
    first = Collector()
    source = await join(first, "first")
    await first.until(lambda: len(first.events) == 100)
    await source.commit(first.last)
    second = Collector()
    await join(second, "second")
    await second.until(lambda: len(second.events) >= 100)
    assert sorted(values(second.events)) == sorted(sent)  # type: ignore[type-var]


async def test_what_is_committed_is_not_delivered_again(
    namespace: Namespace, hub: str, join: Join
) -> None:
    """What is not, is, and nothing else; a commit may be repeated."""
    await write(namespace, hub, 0, 200)
    taker = Collector()
    source = await join(taker)
    await taker.until(lambda: len(taker.events) == 200)
    halves = {claim: events[: len(events) // 2] for claim, events in taker.taken.items()}
    rest = {c.partition: e[len(e) // 2 :] for c, e in taker.taken.items()}
    for _ in range(2):
        await source.commit({claim: events[-1] for claim, events in halves.items() if events})
    await source.stop()
    again = Collector()
    await join(again)
    expected = sum(map(len, rest.values()))
    await again.until(lambda: len(again.events) >= expected)
    await asyncio.sleep(0.2)
    assert {claim.partition: events for claim, events in again.taken.items()} == {
        partition: events for partition, events in rest.items() if events
    }


async def test_nothing_is_committed_for_a_lost_claim(
    namespace: Namespace, hub: str, join: Join
) -> None:
    """It is left out, and the others of the same commit are not."""
    await write(namespace, hub, 0, 100)
    taker = Collector()
    source = await join(taker)
    await taker.until(lambda: len(taker.events) == 100)
    last = taker.last
    lost = next(iter(last))
    lost.lost = True
    await source.commit({lost: last[lost]})
    await source.commit(last)
    await source.stop()
    with suppress(BrokerUnavailable):
        await source.commit(last)  # of a member that has left
    again = Collector()
    await join(again)
    await again.until(lambda: len(again.events) >= len(taker.taken[lost]))
    await asyncio.sleep(0.2)
    assert again.events == taker.taken[lost]


async def test_two_members_share_the_partitions(namespace: Namespace, hub: str, join: Join) -> None:
    """Each partition is of one of them. What the one that leaves did not commit goes to the other,
    after it was released; what it committed does not.
    """
    history: list[tuple[str, str, int]] = []
    staying, leaving = Collector("staying", history), Collector("leaving", history)
    everything = set(range(PARTITIONS))
    remaining = await join(staying)
    await staying.until(lambda: staying.partitions == everything)
    source = await join(leaving)
    await staying.until(lambda: len(staying.claims) == len(leaving.claims) == PARTITIONS // 2)
    assert staying.partitions | leaving.partitions == everything

    committed = await write(namespace, hub, 0, 200)

    def current() -> list[Received]:
        """What came under the claims of now."""
        claims = [(taker, claim) for taker in (staying, leaving) for claim in taker.claims]
        return [event for taker, claim in claims for event in taker.taken[claim]]

    await staying.until(lambda: len(current()) == 200)
    assert staying.last
    assert leaving.last
    await source.commit(leaving.last)
    await remaining.commit(staying.last)
    moving = leaving.partitions
    open_events = await write(namespace, hub, 200, 200)
    await staying.until(lambda: len(current()) == 400)
    del history[:]
    await source.stop()
    assert leaving.claims == []
    await staying.until(lambda: staying.partitions == everything)
    for partition in moving:
        released = history.index(("leaving", "released", partition))
        assert released < history.index(("staying", "claimed", partition))
    repeated = {c for c in staying.claims if c.partition in moving}
    expected = [e for c, events in leaving.taken.items() for e in events if e.value in open_events]
    await staying.until(lambda: sum(len(staying.taken[c]) for c in repeated) >= len(expected))
    await asyncio.sleep(0.2)
    found = [event for claim in repeated for event in staying.taken[claim]]
    assert sorted(values(found)) == sorted(values(expected))  # type: ignore[type-var]
    assert not set(values(found)) & set(committed)
    delivered = set(values(staying.events))
    assert delivered >= set(open_events)


async def test_a_taker_that_does_not_take_stays_a_member(
    namespace: Namespace, hub: str, join: Join
) -> None:
    """For longer than its session: nothing is released, nothing is lost, and what it gets later can
    be committed.
    """
    taker = Collector()
    source = await join(taker)
    await taker.until(lambda: len(taker.claims) == PARTITIONS)
    taker.close(*range(PARTITIONS))
    sent = await write(namespace, hub, 0, 200)
    await asyncio.sleep(2.5 * SESSION_SECONDS)
    sent += await write(namespace, hub, 200, 200)
    assert taker.events == []
    taker.open()
    await taker.until(lambda: len(taker.events) >= 400)
    await asyncio.sleep(0.2)
    assert "released" not in {what for _, what, _ in taker.history}
    assert sorted(values(taker.events)) == sorted(sent)  # type: ignore[type-var]
    for events in taker.taken.values():
        offsets = [event.offset for event in events]
        assert offsets == sorted(offsets)
    await source.commit(taker.last)


async def test_a_partition_that_is_not_taken_does_not_hold_up_the_others(
    namespace: Namespace, hub: str, join: Join
) -> None:
    """They go on, and it goes on where it was."""
    taker = Collector()
    await join(taker)
    await taker.until(lambda: len(taker.claims) == PARTITIONS)
    taker.close(0)
    await write(namespace, hub, 0, 200)
    await asyncio.sleep(1.5)
    await write(namespace, hub, 200, 200)
    everything = messages(hub, 0, 400)

    def done(partitions: set[int]) -> bool:
        return len([e for e in taker.events if e.partition in partitions]) >= len(everything) - held

    held = await _count_in(namespace, hub, 0)
    assert 0 < held < 400
    await taker.until(lambda: done(set(range(1, PARTITIONS))))
    assert 0 not in {event.partition for event in taker.events}
    taker.open()
    await taker.until(lambda: len(taker.events) >= 400)
    await asyncio.sleep(0.2)
    assert sorted(values(taker.events)) == sorted(values(everything))  # type: ignore[type-var]


async def _count_in(namespace: Namespace, hub: str, partition: int) -> int:
    """How many events of the 400 are in a partition, as another group sees it."""
    taker, source = Collector(), namespace.source(hub, "counting")
    try:
        await source.start(taker)
        await taker.until(lambda: len(taker.events) >= 400)
    finally:
        await source.stop()
    return len([e for e in taker.events if e.partition == partition])


async def test_stopping_releases_and_leaves(namespace: Namespace, hub: str, join: Join) -> None:
    """All claims, even while the taker does not take; afterwards nothing is given any more, and
    stopping again does nothing.
    """
    taker = Collector()
    source = await join(taker)
    await taker.until(lambda: len(taker.claims) == PARTITIONS)
    claims = list(taker.claims)
    taker.close(*range(PARTITIONS))
    await write(namespace, hub, 0, 100)
    await asyncio.sleep(1.2)
    await source.stop()
    assert taker.claims == []
    assert all(claim.lost for claim in claims)
    taker.open()
    await source.stop()
    await asyncio.sleep(0.2)
    assert taker.events == []
    other = Collector()
    await join(other)
    await other.until(lambda: len(other.events) >= 100)


async def test_a_source_that_never_started_can_be_stopped(namespace: Namespace, hub: str) -> None:
    """Nothing happens."""
    await namespace.source(hub).stop()


async def lag_of(source: EventSource, expected: dict[int, int]) -> None:
    """Wait until the lag of each partition is this one."""
    deadline = time.monotonic() + 30
    while True:
        found = {claim.partition: lag for claim, lag in (await source.lag()).items()}
        if found == expected:
            return
        assert time.monotonic() < deadline, (found, expected)
        await asyncio.sleep(0.1)


async def test_the_lag_is_what_was_not_committed(
    namespace: Namespace, hub: str, join: Join
) -> None:
    """0 for a partition that was never written to; what was taken and not committed counts."""
    taker = Collector()
    source = await join(taker)
    await taker.until(lambda: len(taker.claims) == PARTITIONS)
    await lag_of(source, dict.fromkeys(range(PARTITIONS), 0))
    async with namespace.writer(hub) as writer:
        await writer.write([Outgoing(hub, b"one key", b"%d" % n) for n in range(30)])
    await taker.until(lambda: len(taker.events) == 30)
    [(claim, events)] = [item for item in taker.taken.items() if item[1]]
    empty = dict.fromkeys(range(PARTITIONS), 0)
    await lag_of(source, empty | {claim.partition: 30})
    await source.commit({claim: events[9]})
    await lag_of(source, empty | {claim.partition: 20})
    await source.stop()
    again = Collector()
    source = await join(again)
    await again.until(lambda: len(again.events) == 20)
    await lag_of(source, empty | {claim.partition: 20})
    await source.commit(again.last)
    await lag_of(source, empty)


async def test_a_hub_that_is_missing_is_no_hub_to_write_to(namespace: Namespace, hub: str) -> None:
    """Connecting says so, before anything is published to the others."""
    with pytest.raises(BrokerUnavailable):
        async with namespace.writer(hub, "no-such-hub"):
            pass


async def test_what_is_too_large_for_any_request_is_refused(
    namespace: Namespace, hub: str, join: Join
) -> None:
    """With nothing sent of what was to be written with it; all that is not, passes, together too,
    and the writer can still be used.
    """
    large = [Outgoing(hub, b"%d" % n, b"x" * 900_000) for n in range(3)]
    async with namespace.writer(hub) as writer:
        with pytest.raises(InputError, match=hub):
            await writer.write(
                [Outgoing(hub, b"k", b"before"), Outgoing(hub, b"k", b"x" * 1_000_000)]
            )
        await writer.write(large)
        await writer.write([])
    taker = Collector()
    await join(taker)
    await taker.until(lambda: len(taker.events) >= 3)
    await asyncio.sleep(0.2)
    assert sorted(len(e.value or b"") for e in taker.events) == [900_000] * 3
