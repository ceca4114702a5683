"""Reading a hub once over AMQP, with azure-eventhub."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext

from adapters.event_hub.amqp_connection import AmqpConnection
from adapters.event_hub.messages import Received

SILENT_SECONDS: Final = 60.0
_GROUP: Final = "$Default"  # every hub has it
_AHEAD: Final = 100


async def read_amqp(connection: AmqpConnection, hub: str) -> AsyncGenerator[Received]:
    """See `read_all`. Where a partition ends is its last sequence number before reading begins.

    One partition after the other, because what is fetched ahead is counted in events and not in
    bytes. Reads without an epoch: of such readers a consumer group may have five per partition.
    """
    async with consumer_client(connection, hub, _GROUP) as client:
        with translated(hub):
            lasts = await _lasts(client)
        for partition, last in lasts.items():
            async with aclosing(_read_partition(client, hub, partition, last)) as events:
                async for event in events:
                    yield received(hub, int(partition), event)


async def _lasts(client: EventHubConsumerClient) -> dict[str, int]:
    """The last sequence number of each partition that holds events."""
    found = {}
    for partition in await client.get_partition_ids():
        properties = await client.get_partition_properties(partition)
        if not properties["is_empty"]:
            found[partition] = int(properties["last_enqueued_sequence_number"])
    return found


async def _read_partition(
    client: EventHubConsumerClient, hub: str, partition: str, last: int
) -> AsyncGenerator[EventData]:
    taken: asyncio.Queue[list[EventData] | Exception] = asyncio.Queue(1)

    async def take(_: PartitionContext, events: list[EventData]) -> None:
        await taken.put(events)

    async def fail(_: PartitionContext | None, error: Exception) -> None:
        await taken.put(error)

    receiving = asyncio.create_task(
        client.receive_batch(
            take,
            on_error=fail,
            partition_id=partition,
            starting_position="-1",
            max_batch_size=_AHEAD,
            prefetch=_AHEAD,
        )
    )
    seen = -1
    try:
        while seen < last:
            with translated(hub):
                async with asyncio.timeout(SILENT_SECONDS):
                    events = await taken.get()
                if isinstance(events, Exception):
                    raise events
            for event in events:
                if seen < event.sequence_number <= last:
                    yield event
                seen = max(seen, int(event.sequence_number))
    finally:
        receiving.cancel()
        await asyncio.wait({receiving})
