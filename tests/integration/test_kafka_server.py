"""The Kafka broker of the tests is what other tests take it for."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaError

from tests.support.kafka.access import USER, access_token, connection_string
from tests.support.kafka.server import KafkaServer
from tests.support.kafka.settings import MAX_REQUEST_BYTES

PARTITIONS = [TopicPartition("events", p) for p in range(4)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A running broker with one hub."""
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as running:
        running.create_hubs(["events"], len(PARTITIONS))
        yield running


class Token(AbstractTokenProvider):  # type: ignore[misc]
    """One token for ever."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def token(self) -> str:
        """The token."""
        return self._text


@asynccontextmanager
async def producer(bootstrap: str, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that has started."""
    client = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", **options)
    try:
        await client.start()
        yield client
    finally:
        await client.stop()


@asynccontextmanager
async def member(server: KafkaServer, group: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A member of a group, which reads from the beginning unless the group has committed."""
    client = AIOKafkaConsumer(
        "events",
        bootstrap_servers=server.bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        # A member that could not leave its group keeps the next one waiting for so long.
        session_timeout_ms=2000,
        heartbeat_interval_ms=500,
    )
    try:
        await client.start()
        yield client
    finally:
        await client.stop()


def signed_in(server: KafkaServer, **options: Any) -> dict[str, Any]:
    """Options of a client of the secure listener."""
    context = ssl.create_default_context(cafile=str(server.ca_file))
    return {"security_protocol": "SASL_SSL", "ssl_context": context, **options}


def with_password(server: KafkaServer, password: str) -> dict[str, Any]:
    """Options of a client that signs in as Event Hubs asks."""
    user = {"sasl_plain_username": USER, "sasl_plain_password": password}
    return signed_in(server, sasl_mechanism="PLAIN", **user)


def with_token(server: KafkaServer, token: str) -> dict[str, Any]:
    """Options of a client that signs in with a token."""
    provider = Token(token)
    return signed_in(server, sasl_mechanism="OAUTHBEARER", sasl_oauth_token_provider=provider)


@pytest.mark.kafka
async def test_what_was_acknowledged_and_committed_survives_sigkill(server: KafkaServer) -> None:
    """The same broker is there again: address, events, and what a group committed."""
    async with producer(server.bootstrap) as client, member(server, "survivors") as reader:
        for number in range(200):
            await client.send_and_wait("events", b"%d" % number, partition=number % 4)
        read: dict[TopicPartition, int] = {}
        while sum(read.values()) < 120:
            batches = await reader.getmany(timeout_ms=200, max_records=30)
            read |= {partition: records[-1].offset + 1 for partition, records in batches.items()}
        await reader.commit(read)
        server.kill()
    await asyncio.to_thread(server.start)
    async with producer(server.bootstrap) as client, member(server, "survivors") as reader:
        assert await reader.end_offsets(PARTITIONS) == dict.fromkeys(PARTITIONS, 50)
        assert {p: await reader.committed(p) for p in read} == read
        rest = [int((await reader.getone()).value) for _ in range(200 - sum(read.values()))]
    uncommitted = [n for n in range(200) if n // 4 >= read.get(PARTITIONS[n % 4], 0)]
    assert sorted(rest) == uncommitted


@pytest.mark.kafka
async def test_a_producer_outlives_a_broker_that_is_killed(server: KafkaServer) -> None:
    """It connects again by itself, and every acknowledged event is there."""
    async with producer(server.bootstrap) as client:
        first = await client.send_and_wait("events", b"before", partition=0)
        server.kill()
        waiting = await client.send("events", b"meanwhile", partition=0)
        await asyncio.to_thread(server.start)
        assert (await waiting).offset == first.offset + 1


@pytest.mark.kafka
async def test_the_secure_listener_takes_a_connection_string(
    server: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TLS that a client trusts through SSL_CERT_FILE, and no other password."""
    right, wrong = server.connection_string, connection_string("d3Jvbmc=")
    async with producer(server.secure_bootstrap, **with_password(server, right)) as client:
        await client.send_and_wait("events", b"x")
    with pytest.raises(KafkaError):
        async with producer(server.secure_bootstrap, **with_password(server, wrong)):
            pass
    options = with_password(server, right) | {"ssl_context": ssl.create_default_context()}
    with pytest.raises(KafkaError):
        async with producer(server.secure_bootstrap, **options):
            pass
    monkeypatch.setenv("SSL_CERT_FILE", str(server.ca_file))
    options = with_password(server, right) | {"ssl_context": ssl.create_default_context()}
    async with producer(server.secure_bootstrap, **options) as client:
        await client.send_and_wait("events", b"x")


@pytest.mark.kafka
@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "https://elsewhere"},
        {"iss": "https://elsewhere"},
        {"iat": 1, "nbf": 1, "exp": 2},
        {"signed_with": "k"},
    ],
    ids=["audience", "issuer", "age", "signature"],
)
async def test_the_secure_listener_takes_a_token(
    server: KafkaServer, wrong: dict[str, Any]
) -> None:
    """For it, by its issuer, of now and with the right signature."""
    options = with_token(server, access_token())
    async with producer(server.secure_bootstrap, **options) as client:
        await client.send_and_wait("events", b"x")
    # aiokafka does not see that it was refused; then nothing that it asks is answered.
    options = with_token(server, access_token(**wrong)) | {"request_timeout_ms": 1000}
    async with producer(server.secure_bootstrap, **options) as client:
        with pytest.raises(KafkaError):
            await client.send_and_wait("events", b"x")


@pytest.mark.kafka
async def test_hubs_are_not_created_by_use(server: KafkaServer) -> None:
    """As in Event Hubs, where a missing hub is a mistake."""
    async with producer(server.bootstrap, request_timeout_ms=1000) as client:
        with pytest.raises(KafkaError):
            await client.send_and_wait("unknown", b"x")
    async with member(server, "others") as reader:
        assert "unknown" not in await reader.topics()


@pytest.mark.kafka
@pytest.mark.parametrize("size", [MAX_REQUEST_BYTES - 1000, MAX_REQUEST_BYTES])
async def test_a_request_has_event_hubs_limit(server: KafkaServer, size: int) -> None:
    """A larger one ends the connection, and is in no hub."""
    options = {"max_request_size": 2 * size, "max_batch_size": 2 * size}
    async with producer(server.bootstrap, request_timeout_ms=2000, **options) as client:
        if size < MAX_REQUEST_BYTES:
            await client.send_and_wait("events", bytes(size))
        else:
            with pytest.raises(KafkaError):
                await client.send_and_wait("events", bytes(size))


def test_missing_jars_fail_and_say_what_to_do(tmp_path: Path) -> None:
    """A test that needs the broker is not skipped on a machine without it."""
    with pytest.raises(RuntimeError, match="make kafka"):
        KafkaServer(tmp_path / "broker", home=tmp_path)
