"""Reading scores and dead letters while they come, until every event is accounted for."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from benchmarks.online.servers import BenchError
from benchmarks.sections import say
from benchmarks.stream.accounts import Account
from benchmarks.stream.lane import Hubs

QUIET_SECONDS: Final = 1.5
"""Nothing came for so long: that was all."""
PATIENCE_SECONDS: Final = 60.0
"""Nothing came for so long, and something is missing: it is lost."""

_SAY_SECONDS: Final = 10.0


class Follower(Protocol):
    """Reads both hubs from their beginnings into an account."""

    def __call__(
        self, account: Account, hubs: Hubs, stop: Callable[[], None], patience_seconds: float
    ) -> None:
        """Returns when everything is accounted for or nothing comes any more.

        Calls `stop`, which may block, once everything is there, and then reads what is left: a
        worker may repeat something until it has stopped.
        """
        ...


class Progress:
    """When a follower is done."""

    def __init__(self, account: Account, stop: Callable[[], None], patience_seconds: float) -> None:
        self._account = account
        self._stop = stop
        self._patience = patience_seconds
        self._came_at = self._said_at = time.monotonic()
        self._stopped = False

    async def done(self, came: bool) -> bool:
        """Called after each look, with whether anything came."""
        now = time.monotonic()
        if came:
            self._came_at = now
        if now > self._said_at + _SAY_SECONDS:
            self._said_at = now
            say(f"{self._account.found:,} of {self._account.count:,} events accounted for")
        if self._account.complete and not self._stopped:
            self._stopped = True
            await asyncio.to_thread(self._stop)
            self._came_at = time.monotonic()
        quiet = QUIET_SECONDS if self._stopped else self._patience
        return now - self._came_at > quiet


def book(account: Account, hubs: Hubs, hub: str, key: bytes | None, value: bytes) -> None:
    """One message of a hub."""
    event: dict[str, Any] = _DECODER.decode(value)
    if hub == hubs.scores:
        account.score(key, event)
    else:
        account.dead_letter(key, event)


def over_kafka(bootstrap: str) -> Follower:
    """Reads from a Kafka-protocol broker."""

    def follow(
        account: Account, hubs: Hubs, stop: Callable[[], None], patience_seconds: float
    ) -> None:
        asyncio.run(_over_kafka(bootstrap, account, hubs, stop, patience_seconds))

    return follow


async def _over_kafka(
    bootstrap: str, account: Account, hubs: Hubs, stop: Callable[[], None], patience: float
) -> None:
    from aiokafka import AIOKafkaConsumer

    consumer = AIOKafkaConsumer(
        hubs.scores,
        hubs.dead_letters,
        bootstrap_servers=bootstrap,
        group_id=None,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4_000_000,
    )
    progress = Progress(account, stop, patience)
    await consumer.start()
    try:
        while True:
            batches = await consumer.getmany(timeout_ms=200)
            for partition, records in batches.items():
                for record in records:
                    book(account, hubs, partition.topic, record.key, record.value)
            if await progress.done(bool(batches)):
                return
    finally:
        await consumer.stop()


def over_amqp(connection_string: str) -> Follower:
    """Reads with Azure's SDK."""

    def follow(
        account: Account, hubs: Hubs, stop: Callable[[], None], patience_seconds: float
    ) -> None:
        asyncio.run(_over_amqp(connection_string, account, hubs, stop, patience_seconds))

    return follow


async def _over_amqp(
    connection_string: str,
    account: Account,
    hubs: Hubs,
    stop: Callable[[], None],
    patience: float,
) -> None:
    from azure.eventhub.aio import EventHubConsumerClient

    progress = Progress(account, stop, patience)
    came = False

    def reader(hub: str) -> Any:
        async def take(_: Any, events: list[Any]) -> None:
            nonlocal came
            for event in events:
                came = True
                body = b"".join(event.body)
                key = event.partition_key
                book(account, hubs, hub, key if key is None else bytes(key), body)

        return take

    clients = [
        (hub, EventHubConsumerClient.from_connection_string(
            connection_string, consumer_group="$Default", eventhub_name=hub
        ))
        for hub in (hubs.scores, hubs.dead_letters)
    ]  # fmt: skip
    reading = [
        asyncio.create_task(
            client.receive_batch(
                reader(hub), starting_position="-1", max_batch_size=500, max_wait_time=0.2
            )
        )
        for hub, client in clients
    ]
    try:
        while True:
            await asyncio.sleep(0.2)
            failed = [task for task in reading if task.done()]
            if failed:
                raise BenchError("the reader of the hubs ended") from failed[0].exception()
            came, now = False, came
            if await progress.done(now):
                return
    finally:
        for task in reading:  # closing waits half a minute for readers that still read
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        for _, client in clients:
            await client.close()


_DECODER: Final = msgspec.json.Decoder()
