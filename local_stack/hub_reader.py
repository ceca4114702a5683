"""Read what the stream worker published: everything in a hub from its beginning."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from scoring.errors import TerminalError

_POLL_MS = 200


def read_until(
    bootstrap_servers: str,
    hubs: tuple[str, ...],
    expected: int,
    seconds: float,
    heartbeat: Callable[[str], None],
) -> dict[str, list[dict[str, Any]]]:
    """CloudEvents by hub, once the hubs together hold `expected` of them.

    Raises TerminalError after `seconds`.
    """
    return asyncio.run(_read(bootstrap_servers, hubs, expected, seconds, heartbeat))


async def _read(
    bootstrap_servers: str,
    hubs: tuple[str, ...],
    expected: int,
    seconds: float,
    heartbeat: Callable[[str], None],
) -> dict[str, list[dict[str, Any]]]:
    from aiokafka import AIOKafkaConsumer

    consumer = AIOKafkaConsumer(
        *hubs, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest", group_id=None
    )
    events: dict[str, list[dict[str, Any]]] = {hub: [] for hub in hubs}
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    await consumer.start()
    try:
        while (count := sum(map(len, events.values()))) < expected:
            if loop.time() > deadline:
                raise TerminalError(f"the hubs hold {count} of {expected} events after {seconds} s")
            heartbeat(f"{count:,} of {expected:,} events")
            for partition, messages in (await consumer.getmany(timeout_ms=_POLL_MS)).items():
                events[partition.topic] += [json.loads(message.value) for message in messages]
    finally:
        await consumer.stop()
    return events
