"""A process that signs in to an event hub, told line by line what to do.

`python -m tests.support.hub_client BOOTSTRAP HUB`: each line on stdin is `sign-in`, `write TEXT` or
`read COUNT`; one line of JSON on stdout answers it. A process of its own, because its libraries
read at import which CAs the environment trusts.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from typing import Any

from adapters.event_hub.kafka_connection import KafkaConnection
from adapters.event_hub.kafka_sign_in import check_sign_in
from adapters.event_hub.kafka_source import KafkaSource
from adapters.event_hub.kafka_writer import KafkaWriter
from adapters.event_hub.messages import Outgoing, Received
from adapters.event_hub.ports import Claim
from scoring.errors import TrilaneError


class _Collector:
    """A Taker that keeps what it gets."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self.failure: TrilaneError | None = None
        self.changed = asyncio.Event()

    def claimed(self, claims: Sequence[Claim]) -> None:
        """Nothing to do."""

    async def take(self, _: Claim, events: Sequence[Received]) -> None:
        """Keep them."""
        self.values += [(event.value or b"").decode() for event in events]
        self.changed.set()

    async def release(self, claims: Sequence[Claim]) -> None:
        """Nothing is in hand."""

    def fail(self, error: TrilaneError) -> None:
        """Keep it."""
        self.failure = error
        self.changed.set()


async def _read(connection: KafkaConnection, hub: str, count: int) -> dict[str, Any]:
    collector = _Collector()
    source = KafkaSource(connection, hub, "test", 100)
    try:
        await source.start(collector)
        while len(collector.values) < count and collector.failure is None:
            await collector.changed.wait()
            collector.changed.clear()
    finally:
        await source.stop()
    if collector.failure is not None:
        raise collector.failure
    return {"values": sorted(collector.values)}


async def _serve(connection: KafkaConnection, hub: str) -> None:
    writer: KafkaWriter | None = None
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        word, _, rest = line.strip().partition(" ")
        try:
            if word == "sign-in":
                await check_sign_in(connection)
                answer = {"signed": "in"}
            elif word == "read":
                answer = await _read(connection, hub, int(rest))
            else:
                if writer is None:
                    fresh = KafkaWriter(connection, [hub])
                    writer = await fresh.__aenter__()
                await writer.write([Outgoing(hub, None, rest.encode())])
                answer = {"written": rest}
        except TrilaneError as error:
            answer = {"error": type(error).__name__, "text": str(error)}
        print(json.dumps(answer), flush=True)
    if writer is not None:
        await writer.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    bootstrap, hub = sys.argv[1:]
    asyncio.run(_serve(KafkaConnection(bootstrap, workload_identity=True), hub))
