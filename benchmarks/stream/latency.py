"""From just before an event is sent to the arrival of its score, seen by one client."""

import asyncio
import time
from array import array
from collections.abc import Iterator
from typing import Final

import msgspec

from benchmarks.online.figures import percentile
from benchmarks.online.report import Bar, duration, none_of, within
from benchmarks.sections import say
from benchmarks.stream.bench import Bench
from benchmarks.stream.events import EventMaker, number_of
from benchmarks.stream.lane import require_stopped
from benchmarks.stream.sites import Site, kafka_site

SECONDS: Final = 30.0
RATE: Final = 500.0
WARM_UP_SECONDS: Final = 3.0
P99_SECONDS: Final = 0.150
ANSWER_SECONDS: Final = 15.0


def run(bench: Bench) -> Iterator[Bar]:
    """An open loop at a steady rate; the first seconds do not count."""
    seconds = bench.duration(SECONDS)
    with kafka_site(bench, "latency") as site, site.lane().start() as worker:
        say(f"{RATE:.0f} events/s for {seconds:.0f} s, after {WARM_UP_SECONDS:.0f} s to warm up")
        client = _Client(site, round(RATE * WARM_UP_SECONDS), round(RATE * seconds))
        asyncio.run(client.run())
        require_stopped(worker)
    times = client.times()
    if times:
        yield within(
            f"p99 from sending to the score at {RATE:.0f} events/s",
            percentile(times, 0.99),
            P99_SECONDS,
            f"p50 {duration(percentile(times, 0.5))}, most {duration(max(times))}, "
            f"{len(times):,} events",
        )
    yield none_of("events without a score", client.missing)


class _Client:
    """Sends and receives in one event loop, and so with one clock."""

    def __init__(self, site: Site, warm_up: int, count: int) -> None:
        self._site = site
        self._skipped = warm_up
        self._count = warm_up + count
        self._sent = array("d", [0.0]) * self._count
        self._arrived = array("d", [0.0]) * self._count
        self._left = self._count

    @property
    def missing(self) -> int:
        """Events whose score did not arrive."""
        return self._left

    def times(self) -> list[float]:
        """Seconds of each event that counts and was answered."""
        pairs = zip(self._sent, self._arrived, strict=True)
        return [b - a for a, b in list(pairs)[self._skipped :] if b]

    async def run(self) -> None:
        """Until all scores are there, or it takes too long."""
        from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

        bootstrap = self._site.address
        consumer = AIOKafkaConsumer(
            self._site.hubs.scores,
            bootstrap_servers=bootstrap,
            group_id=None,
            auto_offset_reset="earliest",
        )
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
        await consumer.start()
        await producer.start()
        reading = asyncio.create_task(self._receive(consumer))
        try:
            await self._send(producer)
            await asyncio.wait({reading}, timeout=ANSWER_SECONDS)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await producer.stop()
            await consumer.stop()

    async def _send(self, producer: object) -> None:
        maker = EventMaker(self._site.events(self._count))
        hub = self._site.hubs.events
        began = time.perf_counter()
        for number in range(self._count):
            wait = began + number / RATE - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            key, value = maker.key(number), maker.value(number)
            self._sent[number] = time.perf_counter()
            await producer.send(hub, value, key=key)  # type: ignore[attr-defined]

    async def _receive(self, consumer: object) -> None:
        while self._left:
            batches = await consumer.getmany(timeout_ms=1_000)  # type: ignore[attr-defined]
            now = time.perf_counter()
            for records in batches.values():
                for record in records:
                    cause = msgspec.json.decode(record.value)["data"]["causationid"]
                    number = number_of(cause, record.key)
                    if number is not None and not self._arrived[number]:
                        self._arrived[number] = now
                        self._left -= 1
