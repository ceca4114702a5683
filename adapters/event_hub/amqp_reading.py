"""Reading a hub once over AMQP, with azure-eventhub."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Final

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext

from adapters.event_hub.amqp_connection import CONNECT_SECONDS, AmqpConnection
from adapters.event_hub.amqp_errors import translated
from adapters.event_hub.amqp_events import received
from adapters.event_hub.messages import Received

_GROUP: Final = "$Default"  # every hub has it
_AHEAD: Final = 320
"""Events that the SDK fetches ahead of the reader, of all partitions together: up to 300 MB."""


async def read_amqp(
    connection: AmqpConnection, hub: str, silent_seconds: float
) -> AsyncGenerator[Received]:
    """See `read_all`. Where a partition ends is its last sequence number before reading begins.

    Reads without an epoch: of such readers a consumer group may have five per partition.
    """
    with translated(connection):
        async with AsyncExitStack() as stack:
            credential = connection.credential()
            if credential is not None:
                stack.push_async_callback(credential.close)
            client = connection.consumer(hub, _GROUP, credential)
            stack.push_async_callback(client.close)
            with translated(connection, connecting=True):
                async with asyncio.timeout(CONNECT_SECONDS):
                    reading = _Reading(hub, await _lasts(client), silent_seconds)
            if reading.ended:
                return
            receiving = reading.begin(client)
            try:
                while not reading.ended:
                    for event in await reading.next():
                        yield event
            finally:
                receiving.cancel()
                await asyncio.wait({receiving})


async def _lasts(client: EventHubConsumerClient) -> dict[str, int]:
    """The last sequence number of each partition that holds events."""
    found = {}
    for partition in await client.get_partition_ids():
        properties = await client.get_partition_properties(partition)
        if not properties["is_empty"]:
            found[partition] = int(properties["last_enqueued_sequence_number"])
    return found


class _Reading:
    """The partitions of a hub that were not read to their ends, and what was taken of them."""

    def __init__(self, hub: str, lasts: dict[str, int], silent_seconds: float) -> None:
        self._hub = hub
        self._lasts = lasts
        self._silent_seconds = silent_seconds
        self._seen = dict.fromkeys(lasts, -1)
        self._left = set(lasts)
        self._taken: asyncio.Queue[tuple[str, list[EventData]] | Exception] = asyncio.Queue(1)

    @property
    def ended(self) -> bool:
        """Whether all of them were."""
        return not self._left

    def begin(self, client: EventHubConsumerClient) -> "asyncio.Task[None]":
        """Take events until it is cancelled."""
        ahead = max(1, _AHEAD // len(self._lasts))
        return asyncio.create_task(
            client.receive_batch(
                self._take,
                on_error=self._fail,
                starting_position="-1",
                max_batch_size=ahead,
                prefetch=ahead,
            )
        )

    async def _take(self, partition: PartitionContext, events: list[EventData]) -> None:
        """Waits until what was taken before is read."""
        if partition.partition_id in self._left:
            await self._taken.put((partition.partition_id, events))

    async def _fail(self, _: PartitionContext | None, error: Exception) -> None:
        """The SDK gave up on a partition, or on all."""
        await self._taken.put(error)

    async def next(self) -> list[Received]:
        """What comes next; maybe nothing. Raises the SDK's errors, TimeoutError."""
        async with asyncio.timeout(self._silent_seconds):
            taken = await self._taken.get()
        if isinstance(taken, Exception):
            raise taken
        name, events = taken
        seen, last = self._seen[name], self._lasts[name]
        found = [received(self._hub, int(name), event) for event in events]
        self._seen[name] = max(seen, *(event.offset for event in found))
        if self._seen[name] >= last:
            self._left.discard(name)
        return [event for event in found if seen < event.offset <= last]
