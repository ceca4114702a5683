"""Publishing and consuming over AMQP with the real SDK, at the stand-in for Event Hubs.

What every transport promises is in the contract of event hubs; here is what can go wrong with this
one.
"""

import asyncio
import contextlib
import gc
import os
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from azure.core.credentials import AccessToken
from azure.eventhub import EventData
from azure.eventhub._pyamqp.types import TYPE, VALUE, AMQPTypes

from adapters.event_hub.amqp_connection import AmqpConnection
from adapters.event_hub.amqp_source import AmqpSource
from adapters.event_hub.amqp_writer import AmqpWriter
from adapters.event_hub.messages import Outgoing
from adapters.event_hub.partitioning import place_of_key
from scoring.errors import (
    BrokerUnavailable,
    ConfigurationError,
    InputError,
    StorageUnavailable,
    TransientError,
)
from tests.contract.event_hubs import Collector, values
from tests.support.amqp_hub.journal import Journal
from tests.support.amqp_hub.process import AmqpHub, HubOptions
from tests.support.amqp_hub.sdk import consumer, receive, sending
from tests.support.amqp_hub.tokens import JWT_AUDIENCE
from tests.support.forwarder import Forwarder

pytestmark = [
    # the SDK leaves the socket of a broken connection to the garbage collector
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:loop is closed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:ssl=None is deprecated:DeprecationWarning"),
]

PARTITIONS = 4
SESSION_SECONDS = 2.0
SECRET = "a secret of thirty-two bytes or more"
HUBS = [f"hub-{number}" for number in range(20)]


@pytest.fixture(scope="module")
def server() -> Iterator[AmqpHub]:
    """One server for the tests that do not break theirs."""
    with AmqpHub.start(HUBS, PARTITIONS, options=HubOptions(jwt_secret=SECRET)) as running:
        yield running


@pytest.fixture(scope="module")
def unused() -> list[str]:
    """Hubs of that server that nothing was written to."""
    return list(HUBS)


@pytest.fixture
def hub(unused: list[str]) -> str:
    """One of them."""
    return unused.pop()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[AmqpHub]:
    """A server with the hub `events`, which a test may break; it keeps what it acknowledged."""
    with AmqpHub.start(["events"], PARTITIONS, directory=tmp_path / "hub") as running:
        yield running


@pytest.fixture
def storage() -> str:
    """The connection string of a storage account."""
    return os.environ["TRILANE_TEST_AZURITE_CONNECTION_STRING"]


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


class Sources:
    """Starts members of a group and stops those that are left."""

    def __init__(self, storage: str) -> None:
        self._storage = storage
        self._container = f"checkpoints-{uuid.uuid4().hex}"
        self._started: list[AmqpSource] = []

    def connection(self, server: AmqpHub, **changed: Any) -> AmqpConnection:
        """To a server, with a container of this test's own."""
        connection = AmqpConnection(
            connection_string=server.connection_string,
            session_seconds=SESSION_SECONDS,
            storage_connection_string=self._storage,
            checkpoint_container=self._container,
        )
        return replace(connection, **changed)

    async def start(
        self, taker: Collector, server: AmqpHub, hub: str, max_records: int = 50, **changed: Any
    ) -> AmqpSource:
        """A member with all partitions, unless there are others."""
        source = AmqpSource(self.connection(server, **changed), hub, "group", max_records)
        self._started.append(source)
        await source.start(taker)
        return source

    async def stop(self) -> None:
        """All of them."""
        await asyncio.gather(*(source.stop() for source in self._started))


@pytest.fixture
async def sources(storage: str) -> AsyncIterator[Sources]:
    """Members that share one container."""
    sources = Sources(storage)
    yield sources
    await sources.stop()


def plain(server: AmqpHub, **changed: Any) -> AmqpConnection:
    """A connection without checkpoints."""
    return replace(AmqpConnection(connection_string=server.connection_string), **changed)


def numbers(hub: str, first: int, count: int, keys: int = 17) -> list[Outgoing]:
    """Events that hold a number each."""
    return [Outgoing(hub, b"k%d" % (n % keys), b"%d" % n) for n in range(first, first + count)]


# Publishing


async def test_a_key_lies_where_kafka_would_put_it(server: AmqpHub, hub: str) -> None:
    """And it travels with its event, for readers of either protocol."""
    async with AmqpWriter(plain(server), [hub]) as writer:
        await writer.write(numbers(hub, 0, 100, keys=100))
    found: dict[bytes, int] = {}
    for partition in range(PARTITIONS):
        count = server.counts(hub)[partition]
        events = await receive(consumer(server, hub), count, partition_id=str(partition))
        found |= {event.partition_key or b"": partition for event in events}
    assert found == {b"k%d" % n: place_of_key(b"k%d" % n, PARTITIONS) for n in range(100)}


async def test_more_than_one_request_keeps_its_order(server: AmqpHub, hub: str) -> None:
    """Batches of one partition follow each other."""
    sent = [Outgoing(hub, b"k", b"%06d" % n + b"x" * 10_000) for n in range(500)]
    async with AmqpWriter(plain(server), [hub]) as writer:
        await writer.write(sent)
    events = await receive(consumer(server, hub), len(sent))
    assert [event.body_as_str()[:6] for event in events] == [f"{n:06}" for n in range(500)]


async def test_headers_are_typed_properties(server: AmqpHub, hub: str) -> None:
    """Text is text to any AMQP reader, and the content type is the message's."""
    headers = (("content-type", b"application/json"), ("a", "é".encode()), ("b", b"\xff"))
    async with AmqpWriter(plain(server), [hub]) as writer:
        await writer.write([Outgoing(hub, b"k", b"x", headers)])
    [event] = await receive(consumer(server, hub), 1)
    assert event.content_type == "application/json"
    assert event.properties == {b"a": "é".encode(), b"b": b"\xff"}


async def test_what_the_hub_refuses_is_not_written(server: AmqpHub, hub: str) -> None:
    """The writer says so, also when the hub closes the link, and can be used afterwards."""
    async with AmqpWriter(plain(server), [hub]) as writer:
        for detach in (False, True):
            server.refuse_sends(hub, detach=detach)
            with pytest.raises(BrokerUnavailable, match=server.endpoint):
                await writer.write(numbers(hub, 0, 10))
        server.accept_sends(hub)
        await writer.write(numbers(hub, 10, 10))
    events = await receive(consumer(server, hub), 10)
    assert sorted(int(event.body_as_str()) for event in events) == list(range(10, 20))


async def test_a_wrong_key_is_named_as_what_it_may_be(server: AmqpHub, hub: str) -> None:
    """The SDK does not tell it from a hub that does not exist. The text does not repeat it."""
    wrong = plain(server, connection_string=server.connection_string_with("d3Jvbmc="))
    with pytest.raises(BrokerUnavailable, match="a wrong key") as caught:
        await AmqpWriter(wrong, [hub]).__aenter__()
    assert "d3Jvbmc" not in str(caught.value)


async def test_a_hub_that_nobody_serves_is_unavailable(server: AmqpHub) -> None:
    """Whether it is one hub that is missing, or all."""
    with pytest.raises(BrokerUnavailable):
        await AmqpWriter(plain(server), ["no-such-hub"]).__aenter__()
    nobody = server.connection_string.replace(f":{server.port}", ":1")
    with pytest.raises(BrokerUnavailable):
        await AmqpWriter(plain(server, connection_string=nobody), [HUBS[0]]).__aenter__()


async def test_websockets_carry_the_same(server: AmqpHub, hub: str) -> None:
    """Through a gateway, where the namespace itself does not listen."""
    connection = plain(server, websockets=True, gateway=server.websocket_endpoint)
    async with AmqpWriter(connection, [hub]) as writer:
        await writer.write(numbers(hub, 0, 20))
    assert sum(server.counts(hub)) == 20


class _Credential:
    """Gives one token, as azure-identity would."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """For Event Hubs."""
        assert scopes == (f"{JWT_AUDIENCE}/.default",)
        return AccessToken(self._token, int(time.time()) + 3600)

    async def close(self) -> None:
        """Nothing is open."""


class _SignedIn(AmqpConnection):
    """With a credential of the test's own in place of the machine's identity."""

    __slots__ = ()

    def credential(self) -> Any:
        """Good for an hour."""
        claims = {"aud": JWT_AUDIENCE, "exp": int(time.time()) + 3600}
        return _Credential(jwt.encode(claims, SECRET, algorithm="HS256"))


async def test_workload_identity_signs_in_with_tokens(server: AmqpHub, hub: str) -> None:
    """To a namespace, without any secret of ours."""
    connection = _SignedIn(namespace=server.endpoint, workload_identity=True, tls=False)
    async with AmqpWriter(connection, [hub]) as writer:
        await writer.write(numbers(hub, 0, 20))
    assert sum(server.counts(hub)) == 20


async def test_a_writer_outlives_the_hub(own: AmqpHub) -> None:
    """While it is away, writing fails; what was acknowledged is there, in the order of its key."""
    acknowledged: list[str] = []
    async with AmqpWriter(plain(own), ["events"]) as writer:
        for n in range(30):
            if n == 10:
                own.kill()
                with pytest.raises(BrokerUnavailable):
                    await writer.write(numbers("events", n, 1, keys=1))
                own.restart()
            while True:
                try:
                    await writer.write(numbers("events", n, 1, keys=1))
                    break
                except BrokerUnavailable:
                    await asyncio.sleep(0.1)
            acknowledged.append(str(n))
    events = await receive(consumer(own, "events"), lambda got: got[-1].body_as_str() == "29")
    assert list(dict.fromkeys(event.body_as_str() for event in events)) == acknowledged


# Consuming


@pytest.mark.azurite
async def test_nothing_is_lost_when_the_hub_is_killed(own: AmqpHub, sources: Sources) -> None:
    """Events come on after it is back, in order, from where they were; partitions may be other
    claims by then.
    """
    taker = Collector()
    source = await sources.start(taker, own, "events")
    sent: list[Outgoing] = []
    async with AmqpWriter(sources.connection(own), ["events"]) as writer:
        for kill in (False, True, False, True, False):
            if kill:
                own.kill()
                await asyncio.sleep(2.0)
                own.restart()
            more = numbers("events", len(sent), 100)
            await until_written(writer, more)
            sent += more
            await asyncio.sleep(0.3)
            await source.commit(taker.last)
    await taker.until(lambda: set(values(taker.events)) == set(values(sent)))
    assert_ordered(taker)


@pytest.mark.azurite
async def test_nothing_comes_twice_under_a_claim_when_connections_break(
    own: AmqpHub, sources: Sources
) -> None:
    """Also of what the SDK had received and the taker not yet taken."""
    taker = Collector()
    await sources.start(taker, own, "events", max_records=5)
    await taker.until(lambda: len(taker.partitions) == PARTITIONS)
    sent: list[Outgoing] = []
    async with AmqpWriter(sources.connection(own), ["events"]) as writer:
        for _ in range(5):
            taker.close(*range(PARTITIONS))
            more = numbers("events", len(sent), 60)
            await until_written(writer, more)
            sent += more
            await asyncio.sleep(0.4)
            own.drop_connections()
            await asyncio.sleep(0.4)
            taker.open()
    await taker.until(lambda: set(values(taker.events)) == set(values(sent)))
    assert_ordered(taker)


@pytest.mark.azurite
async def test_a_new_member_takes_its_share_and_gives_it_back(
    server: AmqpHub, hub: str, sources: Sources
) -> None:
    """What one member was given last is committed by it; the other goes on behind, in order."""
    one, two = Collector(), Collector()
    first = await sources.start(one, server, hub)
    await one.until(lambda: len(one.partitions) == PARTITIONS)
    async with AmqpWriter(plain(server), [hub]) as writer:
        await writer.write(numbers(hub, 0, 200))
        await one.has(200)
        await first.commit(one.last)
        second = await sources.start(two, server, hub)
        await one.until(lambda: len(one.partitions) == len(two.partitions) == PARTITIONS // 2)
        assert one.partitions | two.partitions == set(range(PARTITIONS))
        await writer.write(numbers(hub, 200, 200))
        await one.until(lambda: len(one.events) + len(two.events) >= 400)
        assert two.events
        await second.commit(two.last)
        await second.stop()
        await one.until(lambda: len(one.partitions) == PARTITIONS)
        await writer.write(numbers(hub, 400, 200))
        await one.until(lambda: len(one.events) + len(two.events) >= 600)
    got = values(one.events) + values(two.events)
    assert sorted(got) == sorted(values(numbers(hub, 0, 600)))  # type: ignore[type-var]
    assert_ordered(one)
    assert_ordered(two)


@pytest.mark.azurite
async def test_what_amqp_publishers_set_arrives_as_text(
    server: AmqpHub, hub: str, sources: Sources
) -> None:
    """Numbers, times and ids of other clients, in the names that CloudEvents prescribes."""
    moment = {TYPE: AMQPTypes.timestamp, VALUE: 1_772_452_800_123}
    sent = EventData(b"{}")
    sent.properties = {
        "cloudEvents:time": moment,
        "n": 7,
        "yes": True,
        "half": 0.5,
        "id": uuid.UUID(int=5),
        "raw": b"\xff",
        "text": "é",
    }
    sent.content_type = "application/json"
    async with sending(server, hub) as client:
        await client.send_event(sent, partition_id="2")
    taker = Collector()
    await sources.start(taker, server, hub)
    await taker.has(1)
    [event] = taker.events
    assert (event.hub, event.partition, event.offset, event.key) == (hub, 2, 0, None)
    assert dict(event.headers) == {
        "cloudEvents:time": b"2026-03-02T12:00:00.123000Z",
        "n": b"7",
        "yes": b"true",
        "half": b"0.5",
        "id": str(uuid.UUID(int=5)).encode(),
        "raw": b"\xff",
        "text": "é".encode(),
        "content-type": b"application/json",
    }


@pytest.mark.azurite
async def test_events_come_through_websockets(server: AmqpHub, hub: str, sources: Sources) -> None:
    """Everything a member does goes that way: it knows no other."""
    async with AmqpWriter(plain(server), [hub]) as writer:
        await writer.write(numbers(hub, 0, 50))
    taker = Collector()
    elsewhere = server.connection_string.replace(f":{server.port}", ":1")
    source = await sources.start(
        taker, server, hub,
        connection_string=elsewhere, websockets=True, gateway=server.websocket_endpoint,
    )  # fmt: skip
    await taker.has(50)
    await source.commit(taker.last)
    assert set((await source.lag()).values()) == {0}


@pytest.mark.azurite
async def test_the_lag_grows_while_the_taker_waits(
    server: AmqpHub, hub: str, sources: Sources
) -> None:
    """Although nothing is received then: the hub is asked."""
    taker = Collector()
    source = await sources.start(taker, server, hub)
    await taker.until(lambda: len(taker.partitions) == PARTITIONS)
    taker.close(*range(PARTITIONS))
    async with AmqpWriter(plain(server), [hub]) as writer:
        for first in range(0, 3000, 1000):
            await writer.write(numbers(hub, first, 1000, keys=1))
    deadline = time.monotonic() + 30
    while sum((await source.lag()).values()) < 3000:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    taker.open()
    await taker.has(3000)
    await source.commit(taker.last)
    assert set((await source.lag()).values()) == {0}


@pytest.mark.azurite
async def test_an_event_that_the_sdk_cannot_decode_ends_the_worker(
    own: AmqpHub, tmp_path: Path, sources: Sources
) -> None:
    """It would be received for ever. Those before it are taken."""
    event = EventData(b"strange")
    event.properties = {"c": {TYPE: AMQPTypes.uint, VALUE: 0x0001F600}}
    async with AmqpWriter(plain(own), ["events"]) as writer, sending(own, "events") as client:
        await writer.write(numbers("events", 0, 5, keys=1))
        place = place_of_key(b"k0", PARTITIONS)
        await client.send_event(event, partition_id=str(place))
    own.kill()
    with_character(tmp_path / "hub" / "events" / f"{place}.journal")
    own.restart()
    taker = Collector()
    source = await sources.start(taker, own, "events")
    await taker.has(5)
    await source.commit(taker.last)
    with contextlib.suppress(AssertionError):  # it fails as soon as the taker is failed
        await taker.until(lambda: False)
    assert isinstance(taker.failure, InputError)
    assert f"partition {place} of events" in str(taker.failure)


@pytest.mark.azurite
async def test_a_group_that_does_not_exist_ends_the_worker(storage: str) -> None:
    """The SDK says nothing of a receiver that is refused. A group that exists goes on, with nothing
    to read. (Time passes ten times as fast for them.)
    """
    takers = Collector(), Collector()
    with AmqpHub.start(["events"], 2, options=HubOptions(groups=["$Default"])) as server:
        connection = Sources(storage).connection(server)
        members = [
            AmqpSource(connection, "events", group, 50, lambda: 10 * time.monotonic())
            for group in ("$Default", "missing")
        ]
        for member, taker in zip(members, takers, strict=True):
            await member.start(taker)
        deadline = time.monotonic() + 60
        while takers[1].failure is None:
            assert time.monotonic() < deadline
            await asyncio.gather(*(member.lag() for member in members))
            await asyncio.sleep(0.5)
        await asyncio.gather(*(member.stop() for member in members))
    assert isinstance(takers[1].failure, ConfigurationError)
    assert "the consumer group must exist" in str(takers[1].failure)
    assert takers[0].failure is None


def with_character(path: Path) -> None:
    """Make an unsigned integer of four bytes a character, which the SDK cannot write either."""
    before = Journal(path)
    before.close()
    path.unlink()
    after = Journal(path)
    for body in before.bodies:
        after.append(body.replace(b"\x70\x00\x01\xf6\x00", b"\x73\x00\x01\xf6\x00"))
    after.close()


@pytest.mark.azurite
async def test_the_container_is_created(server: AmqpHub, hub: str, sources: Sources) -> None:
    """When it is missing, also by several members at once; a second time it is there."""
    for _ in range(2):
        takers = [Collector(), Collector(), Collector()]
        started = await asyncio.gather(*(sources.start(taker, server, hub) for taker in takers))
        assert all(taker.member for taker in takers)
        await asyncio.gather(*(source.stop() for source in started))


@pytest.mark.azurite
async def test_a_container_that_cannot_be_is_a_mistake_in_the_configuration(
    server: AmqpHub, hub: str, storage: str, sources: Sources
) -> None:
    """So is a wrong key of the account, which is not repeated."""
    with pytest.raises(ConfigurationError, match="No_Such"):
        await sources.start(Collector(), server, hub, checkpoint_container="No_Such")
    key = storage.partition("AccountKey=")[2].partition(";")[0]
    wrong = storage.replace(key, "d3Jvbmc=")
    with pytest.raises(ConfigurationError, match="refused") as caught:
        await sources.start(Collector(), server, hub, storage_connection_string=wrong)
    assert "d3Jvbmc" not in str(caught.value)


@pytest.mark.azurite
async def test_a_member_cannot_start_without_its_hub_or_storage(
    server: AmqpHub, hub: str, storage: str, sources: Sources
) -> None:
    """What does not answer may answer later, and so may a hub that is missing. Nothing is claimed,
    and nothing stays open.
    """
    taker = Collector()
    wrong = server.connection_string_with("d3Jvbmc=")
    with pytest.raises(BrokerUnavailable, match="a wrong key"):
        await sources.start(taker, server, hub, connection_string=wrong)
    with pytest.raises(BrokerUnavailable):
        await sources.start(taker, server, "no-such-hub")
    nobody = server.connection_string.replace(f":{server.port}", ":1")
    with pytest.raises(BrokerUnavailable):
        await sources.start(taker, server, hub, connection_string=nobody)
    port = storage.partition("BlobEndpoint=http://127.0.0.1:")[2].partition("/")[0]
    with pytest.raises(StorageUnavailable):
        await sources.start(
            taker, server, hub, storage_connection_string=storage.replace(f":{port}/", ":1/")
        )
    assert not taker.member
    assert taker.claims == []
    assert taker.failure is None


@pytest.mark.azurite
async def test_an_outage_of_the_storage_is_survived(
    server: AmqpHub, hub: str, storage: str, sources: Sources
) -> None:
    """Events go on coming; commits fail until it is back, and then the same ones succeed."""
    port = storage.partition("BlobEndpoint=http://127.0.0.1:")[2].partition("/")[0]
    taker = Collector()
    async with Forwarder(int(port)) as forwarder:
        through = storage.replace(f":{port}/", f":{forwarder.port}/")
        source = await sources.start(taker, server, hub, storage_connection_string=through)
        await taker.until(lambda: len(taker.partitions) == PARTITIONS)
        async with AmqpWriter(plain(server), [hub]) as writer:
            await writer.write(numbers(hub, 0, 50))
            await taker.has(50)
            await forwarder.cut()
            with pytest.raises(StorageUnavailable):
                await source.commit(taker.last)
            await writer.write(numbers(hub, 50, 50))
            await taker.has(100)
            await forwarder.restore()
            await committed(source, taker)
        assert set((await source.lag()).values()) == {0}
        assert taker.failure is None
        await source.stop()
    again = Collector()
    source = await sources.start(again, server, hub)
    await again.until(lambda: len(again.partitions) == PARTITIONS)
    assert set((await source.lag()).values()) == {0}
    assert again.events == []


async def committed(source: AmqpSource, taker: Collector) -> None:
    """Commit until it succeeds."""
    deadline = time.monotonic() + 30
    while True:
        try:
            await source.commit(taker.last)
            return
        except TransientError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)


async def until_written(writer: AmqpWriter, messages: list[Outgoing]) -> None:
    """Write until it succeeds."""
    deadline = time.monotonic() + 60
    while True:
        try:
            await writer.write(messages)
            return
        except BrokerUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)


def assert_ordered(taker: Collector) -> None:
    """Offsets grow under each claim; another claim of the partition may repeat some."""
    for events in taker.taken.values():
        offsets = [event.offset for event in events]
        assert offsets == sorted(set(offsets))
