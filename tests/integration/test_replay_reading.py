"""A hub is read once, from its beginning to where it ended, over both transports."""

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from adapters.event_hub.amqp_connection import AmqpConnection
from adapters.event_hub.kafka_connection import KafkaConnection
from adapters.event_hub.messages import Headers, Outgoing
from adapters.event_hub.reading import read_all
from scoring.errors import BrokerUnavailable, InputError
from tests.support.amqp_hub.process import AmqpHub
from tests.support.replay_hubs import ROOT, Hubs, run_hubs

pytestmark = [
    # the SDK leaves the socket of a broken connection to the garbage collector
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:loop is closed:ResourceWarning"),
]

HEADERS: Headers = (("content-type", b"text/plain"), ("h", b"\xff\x00"))


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(params=["kafka", "amqp"])
def hubs(request: pytest.FixtureRequest) -> Iterator[Hubs]:
    """Hubs of its own for each test."""
    with run_hubs(request.param) as found:
        yield found


async def test_an_empty_hub_has_no_end_to_wait_for(hubs: Hubs) -> None:
    """None of its partitions was ever written."""
    assert await hubs.read("dead") == []


async def test_everything_comes_once_as_it_was_written(hubs: Hubs) -> None:
    """Keys, values and headers, in order within a partition; some partitions hold nothing."""
    sent = [Outgoing("dead", b"\xffkey", str(n).encode(), HEADERS) for n in range(250)]
    sent.append(Outgoing("dead", b"other", b"", ()))
    await hubs.write("dead", sent)
    found = await hubs.read("dead")
    assert len({(e.partition, e.offset) for e in found}) == len(found) == len(sent)
    of_key = [e for e in found if e.key == b"\xffkey"]
    assert [e.value for e in of_key] == [m.value for m in sent[:-1]]
    assert [e.offset for e in of_key] == sorted(e.offset for e in of_key)
    assert {tuple(sorted(e.headers)) for e in of_key} == {HEADERS}
    assert [(e.hub, e.value, e.headers) for e in found if e.key == b"other"] == [("dead", b"", ())]
    assert all(e.timestamp_ms > 1_700_000_000_000 for e in found)
    again = await hubs.read("dead")
    assert set(again) == set(found)
    assert len(again) == len(found)


async def test_what_comes_later_is_left_out(hubs: Hubs) -> None:
    """More than is fetched ahead, and as many again while it is read."""
    await hubs.write("dead", [Outgoing("dead", b"k", b"x" * 95_000)] * 150)
    values = []
    async for e in read_all(hubs.connection, "dead"):
        values.append(e.value)
        if len(values) == 1:
            await hubs.write("dead", [Outgoing("dead", b"k", b"late")] * 100)
    assert set(values) == {b"x" * 95_000}
    assert len(values) == 150


async def test_reading_may_end_early(hubs: Hubs) -> None:
    """Whoever closes it has nothing left behind."""
    await hubs.write("dead", [Outgoing("dead", b"k", b"v")] * 500)
    async with aclosing(read_all(hubs.connection, "dead")) as events:
        assert (await anext(events)).value == b"v"
    assert len(await hubs.read("dead")) == 500


@pytest.mark.parametrize(
    "connection",
    [
        KafkaConnection("127.0.0.1:1"),
        AmqpConnection(
            connection_string="Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=n;SharedAccessKey=k;"
            "UseDevelopmentEmulator=true"
        ),
    ],
    ids=["kafka", "amqp"],
)
async def test_a_hub_that_cannot_be_reached_is_unavailable(
    connection: KafkaConnection | AmqpConnection,
) -> None:
    """Nothing listens there."""
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1"):
        await anext(read_all(connection, "dead"))


@pytest.fixture
def server() -> Iterator[AmqpHub]:
    """A hub of one partition that can be ended."""
    with AmqpHub.start(("dead",), 1) as found:
        yield found


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_a_hub_that_goes_away_is_unavailable(server: AmqpHub, how: str) -> None:
    """AMQP: while it is read, with or without a word."""
    connection = AmqpConnection(connection_string=server.connection_string)
    sent = [Outgoing("dead", b"k", b"x" * 9_000)] * 1_000
    await Hubs(connection, {}).write("dead", sent)
    found = 0

    async def read() -> None:
        nonlocal found
        async for _ in read_all(connection, "dead", silent_seconds=5):
            found += 1
            if found == 1:
                getattr(server, how)()

    with pytest.raises(BrokerUnavailable):
        await read()
    assert 0 < found < len(sent)


UNREADABLE = """
import asyncio, sys
from tests.support.broker import produce

class Name(str):
    def encode(self, *_):
        return bytes([255])

asyncio.run(produce(sys.argv[1], "dead", [("e", b"{}", ((Name("x"), b""),))]))
"""


@pytest.fixture
def kafka() -> Iterator[Hubs]:
    """The same, over Kafka only."""
    with run_hubs("kafka") as found:
        yield found


async def test_what_the_client_cannot_read_is_an_error(kafka: Hubs) -> None:
    """Kafka: a header name that is no text; brokers take any."""
    # So does aiokafka's pure Python producer.
    environment = {**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"}
    address = kafka.settings["TRILANE_BOOTSTRAP_SERVERS"]
    command = [sys.executable, "-c", UNREADABLE, address]
    await asyncio.to_thread(subprocess.run, command, env=environment, cwd=ROOT, check=True)
    with pytest.raises(InputError, match="events of dead cannot be fetched: UnicodeDecodeError"):
        await kafka.read("dead")
