"""The real SDK at the hub: senders, and receivers that stop when they have enough.

The SDK retries by default for seconds; here it gives up after `RETRIES` unless a test says
otherwise.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient, PartitionContext

from tests.support.amqp_hub.process import AmqpHub

RETRIES: dict[str, Any] = {"retry_total": 1, "retry_backoff_factor": 0.1}
PATIENCE_SECONDS = 20
_CLOSING_SECONDS = 0.1


@asynccontextmanager
async def sending(hub: AmqpHub, name: str, **options: Any) -> AsyncIterator[EventHubProducerClient]:
    """A producer of a hub; options are the client's."""
    options = {"conn_str": hub.connection_string, "eventhub_name": name} | RETRIES | options
    client = EventHubProducerClient.from_connection_string(**options)
    try:
        yield client
    finally:
        await client.close()


def consumer(hub: AmqpHub, name: str, **options: Any) -> EventHubConsumerClient:
    """A consumer of a hub; options are the client's."""
    defaults = {"eventhub_name": name, "consumer_group": "$Default"} | RETRIES
    options = {"conn_str": hub.connection_string} | defaults | options
    client: EventHubConsumerClient = EventHubConsumerClient.from_connection_string(**options)
    return client


async def send(client: EventHubProducerClient, bodies: Sequence[str | bytes], **where: Any) -> None:
    """Send bodies as one batch; `where` is a partition key or id."""
    await client.send_batch([EventData(body) for body in bodies], **where)


async def receive(
    client: EventHubConsumerClient,
    enough: Callable[[list[EventData]], bool] | int,
    **options: Any,
) -> list[EventData]:
    """The events until there are enough, in order per partition; from the first on, unless
    `options`, which are those of `receive_batch`, say otherwise. The client is done then.

    Raises the first error that the SDK reports, and TimeoutError when there are not enough.
    """
    events: list[EventData] = []
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def keep(_: PartitionContext, batch: list[EventData]) -> None:
        events.extend(batch)
        if not done.done() and _enough(events, enough):
            done.set_result(None)

    async def fail(_: PartitionContext, error: Exception) -> None:
        if not done.done():
            done.set_exception(error)

    places: dict[str, Any] = {"starting_position": "-1", "on_error": fail} | options
    receiving = asyncio.create_task(client.receive_batch(keep, **places))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await done
        return events.copy()
    finally:
        await hang_up(receiving)


async def hang_up(receiving: "asyncio.Task[None]") -> None:
    """End a call of `receive` or `receive_batch` without `stop`'s second.

    Connections are closed; a keep-alive of each still sleeps until the event loop ends.
    """
    receiving.cancel()
    await asyncio.wait([receiving], timeout=_CLOSING_SECONDS)
    receiving.cancel()
    await asyncio.wait([receiving])


async def stop(client: EventHubConsumerClient, receiving: "asyncio.Task[None]") -> None:
    """End a call of `receive` or `receive_batch`, which does not end with its client's `close`.

    Takes the SDK a second: a keep-alive of each connection is waited for.
    """
    receiving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await receiving
    await client.close()


def _enough(events: list[EventData], enough: Callable[[list[EventData]], bool] | int) -> bool:
    return enough(events) if callable(enough) else len(events) >= enough
