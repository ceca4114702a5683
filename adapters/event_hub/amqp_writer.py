"""Publishing over AMQP, with azure-eventhub."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from azure.eventhub import EventDataBatch
from azure.eventhub.aio import EventHubProducerClient
from azure.eventhub.amqp import AmqpAnnotatedMessage

from adapters.event_hub.amqp_connection import CONNECT_SECONDS, AmqpConnection
from adapters.event_hub.amqp_errors import CLIENT_ERRORS, translated
from adapters.event_hub.amqp_events import annotated
from adapters.event_hub.messages import MAX_REQUEST_BYTES, Outgoing
from adapters.event_hub.partitioning import place_of_key
from scoring.errors import InputError

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

_WRITE_SECONDS: Final = 60.0
_CLOSE_SECONDS: Final = 5.0

_Place = tuple[str, str]
"""A hub and the id of one of its partitions."""


class AmqpWriter:
    """An `EventWriter`. The SDK keeps a link for every partition that was written to.

    A key chooses the same partition as it does over Kafka.
    """

    def __init__(self, connection: AmqpConnection, hubs: Sequence[str]) -> None:
        """`hubs` must exist when it connects."""
        self._connection = connection
        self._hubs = tuple(hubs)
        self._credential: AsyncTokenCredential | None = None
        self._clients: dict[str, EventHubProducerClient] = {}
        self._partitions: dict[str, list[str]] = {}
        self._turn = 0

    async def connect(self) -> None:
        """See `EventWriter`. Raises ConfigurationError when the hub refuses the sign-in."""
        self._credential = self._connection.credential()
        with translated(self._connection, connecting=True):
            async with asyncio.timeout(CONNECT_SECONDS):
                await asyncio.gather(*(self._open(hub) for hub in self._hubs))

    async def close(self) -> None:
        """See `EventWriter`."""
        clients, self._clients = self._clients, {}
        self._partitions = {}
        await asyncio.gather(*(_close(client) for client in clients.values()))
        credential, self._credential = self._credential, None
        if credential is not None:
            await credential.close()

    async def __aenter__(self) -> Self:
        try:
            await self.connect()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        await self.close()

    async def write(self, messages: Sequence[Outgoing]) -> None:
        """See `EventWriter`. Batches of a partition follow one another; a batch that is not
        acknowledged ends its partition.
        """
        for message in messages:
            if message.size > MAX_REQUEST_BYTES:
                raise _too_large(message, MAX_REQUEST_BYTES)
        with translated(self._connection):
            try:
                async with asyncio.timeout(_WRITE_SECONDS):
                    await self._write(messages)
            except TimeoutError:
                await self._abandon({message.hub for message in messages})
                raise

    async def _write(self, messages: Sequence[Outgoing]) -> None:
        places = self._by_partition(messages)
        ready = [await self._batches(place, group) for place, group in places.items()]
        hubs = [hub for hub, _ in places]
        sent = await asyncio.gather(*map(self._send, hubs, ready), return_exceptions=True)
        for result in sent:
            if isinstance(result, BaseException):
                raise result

    def _by_partition(self, messages: Sequence[Outgoing]) -> dict[_Place, list[Outgoing]]:
        found: dict[_Place, list[Outgoing]] = {}
        for message in messages:
            if message.hub not in self._partitions:
                raise RuntimeError(
                    f"the writer is not connected to {message.hub}; use it in `async with`"
                )
            known, key = self._partitions[message.hub], message.key
            self._turn += key is None
            place = self._turn % len(known) if key is None else place_of_key(key, len(known))
            found.setdefault((message.hub, known[place]), []).append(message)
        return found

    async def _batches(self, place: _Place, messages: Sequence[Outgoing]) -> list[EventDataBatch]:
        """Raises InputError when an event is larger than the hub's tier allows."""
        hub, partition = place
        client = self._client(hub)
        limit = min((await client.create_batch()).max_size_in_bytes, MAX_REQUEST_BYTES)
        batches: list[EventDataBatch] = []
        for message in messages:
            event = annotated(message)
            if batches and _added(batches[-1], event):
                continue
            batch = await client.create_batch(partition_id=partition, max_size_in_bytes=limit)
            if not _added(batch, event):
                raise _too_large(message, limit)
            batches.append(batch)
        return batches

    async def _send(self, hub: str, batches: Sequence[EventDataBatch]) -> None:
        for batch in batches:
            await self._client(hub).send_batch(batch)

    async def _open(self, hub: str) -> None:
        client = self._client(hub)
        properties = await client.get_eventhub_properties()
        self._partitions[hub] = sorted(properties["partition_ids"], key=int)
        await client.create_batch()  # asks for the right to send, and how much it may be

    def _client(self, hub: str) -> EventHubProducerClient:
        if hub not in self._clients:
            self._clients[hub] = self._connection.producer(hub, self._credential)
        return self._clients[hub]

    async def _abandon(self, hubs: set[str]) -> None:
        """Later writes get new clients: these were interrupted somewhere."""
        clients = [self._clients.pop(hub) for hub in hubs if hub in self._clients]
        await asyncio.gather(*map(_close, clients))


def _added(batch: EventDataBatch, event: AmqpAnnotatedMessage) -> bool:
    try:
        batch.add(event)
    except ValueError:  # it is full
        return False
    return True


def _too_large(message: Outgoing, limit: int) -> InputError:
    return InputError(f"an event for {message.hub} exceeds {limit} bytes")


async def _close(client: EventHubProducerClient) -> None:
    with suppress(*CLIENT_ERRORS):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await client.close()
