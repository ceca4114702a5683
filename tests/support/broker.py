"""Helpers around the event hub: toy events, in-memory ends for unit tests, readers of real hubs."""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from adapters.event_hub.messages import Headers, Outgoing, Received
from scoring.errors import StorageUnavailable
from scoring.inference_log import LogBatch
from scoring.model import ModelBundle
from stream_worker.cloudevents import Event
from stream_worker.handler import Handler

SOURCE = "urn:test"
TIME = "2026-03-02T11:30:00Z"


def event(event_id: str, data: Any, subject: str | None = None, **attributes: Any) -> bytes:
    """A structured CloudEvent; an attribute given as None is left out."""
    envelope: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id,
        "source": SOURCE,
        "type": "hr.employee.updated",
        "subject": subject or event_id,
        "time": TIME,
        "data": data,
    } | attributes
    return json.dumps({k: v for k, v in envelope.items() if v is not None}).encode()


def attributes(decoded: Event) -> dict[str, Any]:
    """Everything of a decoded event but its data."""
    return {name: getattr(decoded, name) for name in Event.__struct_fields__ if name != "data"}


def received(
    value: bytes | None, offset: int = 0, headers: Headers = (), key: bytes | None = b"k"
) -> Received:
    """An event as partition 2 of the hub `events` would give it at 2026-03-02T12:00:00Z."""
    return Received("events", 2, offset, 1772452800000, key, value, headers)


class MemoryWriter:
    """An `EventWriter` that keeps what it is given, after failing as often as told."""

    def __init__(self, failures: Sequence[Exception] = ()) -> None:
        self.messages: list[Outgoing] = []
        self._failures = list(failures)

    async def connect(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing is under way."""

    async def write(self, messages: Sequence[Outgoing]) -> None:
        """Keep the messages, or raise the next failure."""
        if self._failures and messages:
            raise self._failures.pop(0)
        self.messages += messages

    def events(self, hub: str) -> list[dict[str, Any]]:
        """The decoded events of one hub."""
        return [json.loads(m.value) for m in self.messages if m.hub == hub]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None: ...


class MemoryLog:
    """An `InferenceLog` that keeps its entries, after failing as often as told."""

    def __init__(self, failures: int = 0) -> None:
        self.batches: list[LogBatch] = []
        self.failures = failures

    def append(self, entries: LogBatch) -> None:
        """Keep the entries, or raise."""
        if self.failures:
            self.failures -= 1
            raise StorageUnavailable("no storage")
        self.batches.append(entries)


async def published(
    model: ModelBundle, now: datetime, max_event_bytes: int, *values: bytes | None, reasons: int = 0
) -> MemoryWriter:
    """What steps 4 and 5 publish in `scores` and `dead` for some events, from offset 0 on."""
    handler = Handler(model, "scores", "dead", max_event_bytes, reasons)
    batch = [received(value, offset) for offset, value in enumerate(values)]
    results = handler.compute(batch, now)
    writer = MemoryWriter()
    await writer.write(results.scores)
    await writer.write(handler.dead_letters(results, 1))
    return writer


async def produce(
    address: str, hub: str, values: Sequence[tuple[str | None, bytes | None, Headers]]
) -> None:
    """Publish (key, value, headers) as they are."""
    producer = AIOKafkaProducer(
        bootstrap_servers=address, acks="all", max_request_size=2_000_000, max_batch_size=2_000_000
    )
    await producer.start()
    try:
        sent = [
            await producer.send(hub, value, key and key.encode(), headers=list(headers))
            for key, value, headers in values
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


class HubReader:
    """Everything in some hubs from the beginning, as decoded events with keys and partitions."""

    def __init__(self, address: str, *hubs: str) -> None:
        self.events: dict[str, list[dict[str, Any]]] = {hub: [] for hub in hubs}
        self.keys: dict[str, list[bytes | None]] = {hub: [] for hub in hubs}
        self._hubs = hubs
        self._address = address

    def __len__(self) -> int:
        return sum(map(len, self.events.values()))

    @property
    def ids(self) -> set[str]:
        """The distinct event ids."""
        return {e["id"] for events in self.events.values() for e in events}

    async def read(self, expected: int, *, distinct: bool = False, seconds: float = 20.0) -> None:
        """Read until the hubs together hold at least `expected` events (or event ids), and nothing
        more comes for a moment; fails the test when they do not in time.
        """
        consumer = AIOKafkaConsumer(
            *self._hubs,
            bootstrap_servers=self._address,
            group_id=None,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=4_000_000,
        )
        await consumer.start()
        try:
            async with asyncio.timeout(seconds):
                while True:
                    batches = await consumer.getmany(timeout_ms=200)
                    for partition, records in batches.items():
                        self.events[partition.topic] += [json.loads(r.value) for r in records]
                        self.keys[partition.topic] += [r.key for r in records]
                    found = len(self.ids) if distinct else len(self)
                    if not batches and found >= expected:
                        return
        except TimeoutError:
            counts = {hub: len(events) for hub, events in self.events.items()}
            raise AssertionError(f"expected {expected} events, got {counts}") from None
        finally:
            await consumer.stop()
