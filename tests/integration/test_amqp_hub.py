"""The real Event Hubs SDK against the stand-in for the AMQP endpoint."""

import asyncio
import gc
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest
from azure.core.credentials import AccessToken
from azure.eventhub import EventData, TransportType
from azure.eventhub.aio import EventHubProducerClient, PartitionContext
from azure.eventhub.exceptions import (
    AuthenticationError,
    ConnectError,
    ConnectionLostError,
    EventDataSendError,
    EventHubError,
)
from azure.eventhub.extensions.checkpointstoreblobaio import BlobCheckpointStore
from azure.storage.blob.aio import ContainerClient

from tests.support.amqp_hub.frames import AmqpError
from tests.support.amqp_hub.hubs import Partition
from tests.support.amqp_hub.journal import Journal
from tests.support.amqp_hub.links import GivingLink
from tests.support.amqp_hub.process import AmqpHub, HubOptions
from tests.support.amqp_hub.sdk import consumer, hang_up, receive, send, sending, stop
from tests.support.amqp_hub.selector import FILTER, first_index
from tests.support.amqp_hub.tokens import JWT_AUDIENCE
from tests.support.amqp_hub.values import Described
from tests.support.processes import until

pytestmark = [
    # the SDK leaves the socket of a broken connection to the garbage collector
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:ssl=None is deprecated:DeprecationWarning"),
]

SECRET = "a secret of thirty-two bytes or more"
LARGE = bytes(range(256)) * 4000


@pytest.fixture(scope="module")
def hub() -> Iterator[AmqpHub]:
    """One server for the tests that do not break theirs; each test has a hub of its own."""
    names = ("tcp", "web", "places", "refusals", "tokens", "epochs")
    with AmqpHub.start(names, 1, options=HubOptions(jwt_secret=SECRET)) as running:
        yield running


@pytest.fixture(scope="module")
def wide_hub() -> Iterator[AmqpHub]:
    """The same with four partitions."""
    with AmqpHub.start(("facts", "choice"), 4) as running:
        yield running


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


def bodies(events: list[EventData]) -> list[str]:
    """What the events hold."""
    return [event.body_as_str() for event in events]


async def test_a_hub_says_what_it_is_and_what_its_partitions_hold(wide_hub: AmqpHub) -> None:
    """A partition never written to has -1 for its last number and offset, and is empty."""
    before = datetime.now(UTC).replace(microsecond=0)
    async with sending(wide_hub, "facts", retry_total=0) as client:
        await send(client, ["a", "b"], partition_id="2")

        async def missing() -> None:
            with pytest.raises(ConnectError, match="404"):
                await client.get_partition_properties("7")

        properties, empty, written, _ = await asyncio.gather(
            client.get_eventhub_properties(),
            client.get_partition_properties("1"),
            client.get_partition_properties("2"),
            missing(),
        )
    assert properties["eventhub_name"] == "facts"
    assert properties["partition_ids"] == ["0", "1", "2", "3"]
    assert (empty["last_enqueued_sequence_number"], empty["last_enqueued_offset"]) == (-1, "-1")
    assert (empty["is_empty"], empty["beginning_sequence_number"]) == (True, 0)
    assert (written["last_enqueued_sequence_number"], written["is_empty"]) == (1, False)
    assert int(written["last_enqueued_offset"]) > 1
    assert before <= written["last_enqueued_time_utc"] <= datetime.now(UTC)


async def test_events_keep_all_their_sections_over_both_transports(hub: AmqpHub) -> None:
    """Alone and in a batch, a small one and a megabyte, which is split over frames both ways."""
    web = {
        "transport_type": TransportType.AmqpOverWebsocket,
        "custom_endpoint_address": hub.websocket_endpoint,
    }
    await asyncio.gather(events_keep_all(hub, "tcp", {}), events_keep_all(hub, "web", web))


async def events_keep_all(hub: AmqpHub, name: str, options: dict[str, Any]) -> None:
    """The test above, of one transport."""
    async with sending(hub, name, **options) as client:
        await client.send_event(full_event(b"\x00\xff"))
        batch = await client.create_batch(partition_key="key")
        assert batch.max_size_in_bytes == 1 << 20
        batch.add(full_event(b"\x00\xff"))
        await client.send_batch(batch)
        await client.send_batch([full_event(b"\x00\xff"), full_event(LARGE)])
    metric = {"track_last_enqueued_event_properties": True}
    received = await receive(consumer(hub, name, **options), 4, prefetch=2, **metric)
    wanted = {b"text": "é".encode(), b"n": 7, b"half": 0.5, b"yes": True, b"raw": b"\x01"}
    for event in received:
        assert event.properties == wanted
        assert event.content_type == "application/cloudevents+json; charset=UTF-8"
        assert (event.message_id, event.correlation_id) == ("id-1", "id-0")
    assert [whole(event) for event in received] == [*[b"\x00\xff"] * 3, LARGE]
    assert [event.partition_key for event in received] == [None, b"key", None, None]


def whole(event: EventData) -> bytes:
    """The body of an event, which the SDK gives in pieces."""
    body: Any = event.body
    return b"".join(body)


def full_event(body: bytes) -> EventData:
    """An event with something in every section that the SDK writes; the SDK changes it."""
    event = EventData(body)
    event.properties = {"text": "é", "n": 7, "half": 0.5, "yes": True, "raw": b"\x01"}
    event.content_type = "application/cloudevents+json; charset=UTF-8"
    event.message_id, event.correlation_id = "id-1", "id-0"
    return event


async def test_a_key_has_one_partition_and_others_are_spread(wide_hub: AmqpHub) -> None:
    """Events without a key take the partitions in turn; a batch stays together."""
    async with sending(wide_hub, "choice") as client:
        for number in range(8):
            await client.send_event(EventData(str(number)))
        assert wide_hub.counts("choice") == [2, 2, 2, 2]
        for number in range(8):
            await send(client, [str(number)], partition_key="one key")
    assert sorted(wide_hub.counts("choice")) == [2, 2, 2, 10]


async def test_a_receiver_begins_where_it_is_told(hub: AmqpHub) -> None:
    """After or at an offset, a number or a time, at the first event, or at those yet to come."""
    async with sending(hub, "places") as client:
        await send(client, ["a", "b"])
        second = await client.get_partition_properties("0")
        await asyncio.sleep(0.01)
        await send(client, ["c", "d"])
        places: list[tuple[Any, bool, str]] = [
            ("-1", False, "abcd"),
            (second["last_enqueued_offset"], False, "cd"),
            (second["last_enqueued_offset"], True, "bcd"),
            (second["last_enqueued_sequence_number"], False, "cd"),
            (second["last_enqueued_sequence_number"], True, "bcd"),
            (second["last_enqueued_time_utc"], False, "cd"),
            (second["last_enqueued_time_utc"], True, "abcd"),
            ("@latest", False, ""),
        ]
        receiving = [
            asyncio.create_task(
                receive(
                    consumer(hub, "places", consumer_group=f"group-{number}"),
                    lambda events: bodies(events)[-1:] == ["z"],
                    starting_position=place,
                    starting_position_inclusive=inclusive,
                )
            )
            for number, (place, inclusive, _) in enumerate(places)
        ]
        await asyncio.to_thread(until, lambda: hub.receivers("places")[0] == len(places))
        await send(client, ["z"])
        received = await asyncio.gather(*receiving)
    assert ["".join(bodies(events)) for events in received] == [f"{p}z" for _, _, p in places]


@pytest.mark.parametrize("place", ["> '4711'", ">= 'x'"])
def test_a_place_that_is_not_there_is_refused(place: str) -> None:
    """As after a hub was made anew while a checkpoint of the old one stayed.

    The SDK says nothing of it: its receiver attaches again for ever.
    """
    selector = f"amqp.annotation.x-opt-offset {place}"
    with pytest.raises(AmqpError, match="argument-error"):
        first_index(Partition(None), {FILTER: selector})


async def test_what_is_refused_is_not_kept(hub: AmqpHub) -> None:
    """What is too large; and what a test has refused, message by message or with the link."""
    async with sending(hub, "refusals", retry_total=0) as client:
        with pytest.raises(EventHubError):
            await client.send_event(EventData(b"x" * (1 << 20)))
        await send(client, ["a"])
        hub.refuse_sends("refusals")
        with pytest.raises(EventDataSendError, match="InternalError"):
            await send(client, ["b"])
        hub.refuse_sends("refusals", "com.microsoft:server-busy", detach=True)
        with pytest.raises(EventHubError):
            await send(client, ["c"])
        hub.accept_sends("refusals")
        await send(client, ["d"])
    assert sum(hub.counts("refusals")) == 2


async def test_a_wrong_key_an_unknown_hub_and_a_foreign_token_are_refused(hub: AmqpHub) -> None:
    """All of them are AuthenticationError, because the token is put before anything else."""

    async def refused(client: EventHubProducerClient) -> None:
        with pytest.raises(AuthenticationError):
            await client.create_batch()
        await client.close()

    wrong = hub.connection_string_with("wrong")
    async with (
        sending(hub, "tokens", conn_str=wrong, retry_total=0) as wrong_key,
        sending(hub, "nothing", retry_total=0) as unknown,
    ):
        foreign = token_sender(hub, "another secret of thirty-two bytes")
        await asyncio.gather(refused(wrong_key), refused(unknown), refused(foreign))
    good = token_sender(hub, SECRET)
    await send(good, ["a"])
    await good.close()
    assert sum(hub.counts("tokens")) == 1


def token_sender(hub: AmqpHub, secret: str) -> EventHubProducerClient:
    """A producer that signs in with a JWT."""
    claims = {"aud": JWT_AUDIENCE, "exp": int(time.time()) + 600}
    token = jwt.encode(claims, secret, algorithm="HS256")

    class Credential:
        async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
            assert scopes == ("https://eventhubs.azure.net//.default",)
            return AccessToken(token, int(str(claims["exp"])))

    options: dict[str, Any] = {"credential": Credential(), "use_tls": False, "retry_total": 0}
    return EventHubProducerClient(hub.endpoint, "tokens", **options)


async def test_a_receiver_with_an_epoch_takes_the_partition_over(hub: AmqpHub) -> None:
    """An equal epoch disconnects the older receiver; a lower one is refused, and so is none."""
    first, newer = consumer(hub, "epochs"), consumer(hub, "epochs")
    lost: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    async def fail(_: PartitionContext, error: Exception) -> None:
        lost.set_result(error)

    async def ignore(_: PartitionContext, batch: list[EventData]) -> None: ...

    async with sending(hub, "epochs") as client:
        await send(client, ["a"])
    receiving = asyncio.create_task(first.receive_batch(ignore, on_error=fail, owner_level=1))
    await asyncio.to_thread(until, lambda: hub.receivers("epochs")[0] == 1)
    received, *refused = await asyncio.gather(
        receive(newer, 1, owner_level=1),
        receive(consumer(hub, "epochs"), 1),
        receive(consumer(hub, "epochs"), 1, owner_level=0),
        return_exceptions=True,
    )
    for error in (await asyncio.wait_for(lost, 20), *refused):
        assert isinstance(error, ConnectionLostError)
        assert "amqp:link:stolen" in str(error)
    assert isinstance(received, list)
    assert bodies(received) == ["a"]
    await hang_up(receiving)


async def test_a_silent_sender_is_closed_and_a_waiting_receiver_is_not() -> None:
    """The receiver keeps its connection alive; the sender connects again when it has something."""
    with AmqpHub.start(["h"], 1, options=HubOptions(idle_seconds=0.5)) as hub:
        receiving = asyncio.create_task(receive(consumer(hub, "h"), 2))
        await asyncio.to_thread(until, lambda: hub.receivers("h") == [1])
        async with sending(hub, "h") as client:
            await send(client, ["a"])
            assert hub.connections() == 2
            await asyncio.to_thread(until, lambda: hub.connections() == 1)
            await asyncio.sleep(0.7)
            assert (hub.connections(), hub.receivers("h")) == (1, [1])
            await send(client, ["b"])
        assert bodies(await receiving) == ["a", "b"]


async def test_what_was_acknowledged_outlives_connections_and_the_process(tmp_path: Path) -> None:
    """Hung up on, then killed and restarted while events come and go: nothing that was acknowledged
    is lost, the receiver goes on, and every place in the partition is what it was.
    """
    patient = {"retry_total": 20, "retry_backoff_max": 0.2}
    with AmqpHub.start(["h"], 1, directory=tmp_path) as hub:
        sent: list[str] = []
        receiving = asyncio.create_task(
            receive(
                consumer(hub, "h", **patient),
                lambda events: bodies(events)[-1:] == ["end"],
            )
        )
        async with sending(hub, "h", **patient) as client:
            for number in range(100):
                await send(client, [f"{number}-{i}" for i in range(5)])
                sent += [f"{number}-{i}" for i in range(5)]
                if number == 30:
                    assert hub.drop_connections() > 0
                if number == 60:
                    await asyncio.to_thread(hub.restart)
            await send(client, ["end"])
        received = await receiving
        again = await receive(consumer(hub, "h"), len(received))
    places = [(event.sequence_number, event.offset, event.enqueued_time) for event in received]
    assert places == [(e.sequence_number, e.offset, e.enqueued_time) for e in again]
    assert [number for number, _, _ in places] == list(range(len(places)))
    assert list(dict.fromkeys(bodies(received))) == [*sent, "end"]
    assert bodies(again) == bodies(received)


class Member:
    """A consumer that shares the partitions of a hub with others, and commits every batch."""

    def __init__(self, hub: AmqpHub, store: BlobCheckpointStore) -> None:
        self.owned: set[str] = set()
        self.received: list[str] = []
        self._client = consumer(hub, "shared", checkpoint_store=store, load_balancing_interval=1)
        self._receiving = asyncio.create_task(
            self._client.receive_batch(
                self._take,
                starting_position="-1",
                on_partition_initialize=self._begin,
                on_partition_close=self._end,
            )
        )

    async def leave(self) -> None:
        """Give the partitions back."""
        await stop(self._client, self._receiving)

    async def _take(self, context: PartitionContext, batch: list[EventData]) -> None:
        self.received += bodies(batch)
        await context.update_checkpoint(batch[-1])

    async def _begin(self, context: PartitionContext) -> None:
        self.owned.add(context.partition_id)

    async def _end(self, context: PartitionContext, _: Any) -> None:
        self.owned.discard(context.partition_id)


@pytest.mark.azurite
async def test_consumers_share_partitions_and_go_on_where_others_stopped() -> None:
    """Four partitions between two consumers, one of which leaves and comes back: every event
    arrives, and only those around a change of hands may arrive twice.
    """
    storage, container = os.environ["TRILANE_TEST_AZURITE_CONNECTION_STRING"], uuid4().hex
    async with ContainerClient.from_connection_string(storage, container) as blobs:
        await blobs.create_container()
    sent: list[str] = []
    with AmqpHub.start(["shared"], 4) as hub:

        def store() -> BlobCheckpointStore:
            return BlobCheckpointStore.from_connection_string(storage, container)

        async def send_more(client: EventHubProducerClient) -> None:
            for partition in range(4):
                more = [f"{partition}-{len(sent) + number}" for number in range(50)]
                await send(client, more, partition_id=str(partition))
                sent.extend(more)

        first = Member(hub, store())
        async with sending(hub, "shared") as client:
            await send_more(client)
            await asyncio.to_thread(until, lambda: len(first.received) == len(sent))
            second = Member(hub, store())
            await asyncio.to_thread(until, lambda: (len(first.owned), len(second.owned)) == (2, 2))
            await send_more(client)
            await asyncio.to_thread(
                until, lambda: set(first.received + second.received) >= set(sent)
            )
            assert len(second.received) >= 100
            await second.leave()
            await asyncio.to_thread(until, lambda: len(first.owned) == 4)
            await send_more(client)
            await asyncio.to_thread(
                until, lambda: set(first.received + second.received) >= set(sent)
            )
            third = Member(hub, store())
            await asyncio.to_thread(until, lambda: (len(first.owned), len(third.owned)) == (2, 2))
            await send_more(client)
            members = [first, second, third]
            await asyncio.to_thread(
                until, lambda: {b for m in members for b in m.received} >= set(sent)
            )
            await asyncio.gather(first.leave(), third.leave())
    repeated = sum(len(member.received) for member in members) - len(sent)
    assert 0 <= repeated <= 200


def test_a_torn_entry_is_cut(tmp_path: Path) -> None:
    """What a dying process had half written is gone, and what comes next is readable."""
    path = tmp_path / "h" / "0.journal"
    first = Journal(path)
    first.append(b"whole")
    first.append(b"torn")
    first.close()
    path.write_bytes(path.read_bytes()[:-1])
    second = Journal(path)
    assert second.bodies == [b"whole"]
    second.append(b"next")
    second.close()
    third = Journal(path)
    assert third.bodies == [b"whole", b"next"]
    third.close()


class Frames:
    """A link's `Wire` that counts."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.states: list[tuple[int, int, bool]] = []

    def flow(self, handle: int, delivery_count: int, credit: int, *, drain: bool = False) -> None:
        """A state that was told."""
        assert handle == 1
        self.states.append((delivery_count, credit, drain))

    def settle(self, delivery_id: int, state: Described) -> None:
        """Nothing is taken here."""

    def transfer(self, handle: int, payload: bytes) -> None:
        """A message that was sent."""
        assert handle == 1
        self.payloads.append(payload)

    def has_room(self) -> bool:
        """Always."""
        return True


def test_a_receiver_gets_no_more_than_its_credit() -> None:
    """Credit counts from what the peer has seen; a peer that drains gives the rest back."""
    wire, numbers = Frames(), iter(range(7))
    link = GivingLink(wire, 1, lambda: str(n).encode() if (n := next(numbers, None)) else None)
    next(numbers)
    link.flow([None] * 5 + [0, 3, None, False, False])
    link.pump()
    assert wire.payloads == [b"1", b"2", b"3"]
    link.flow([None] * 5 + [2, 2, None, False, False])  # sent before the peer saw the third
    assert wire.payloads == [b"1", b"2", b"3", b"4"]
    link.flow([None] * 5 + [4, 10, None, True, False])
    assert wire.payloads[4:] == [b"5", b"6"]
    assert wire.states == [(14, 0, True)]
