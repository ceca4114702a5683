"""Publishes the events of a plan, whatever happens to the hub meanwhile.

    python -m benchmarks.stream.publisher < PLAN

An event may be published twice, when its acknowledgement is lost; the order of those with one key
is kept. Says at the end, as JSON on stdout, how many events it published and how long it took.
"""

import asyncio
import sys
import time

import msgspec

from benchmarks.stream.bench import hush
from benchmarks.stream.publishing import PublishPlan, PublishReport

TICK_SECONDS = 0.02
IN_FLIGHT = 5_000
PATIENCE_SECONDS = 600
PORTION = 1_000


def main() -> None:
    """Read the plan and carry it out."""
    hush()
    plan = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=PublishPlan)
    began = time.monotonic()
    asyncio.run(_over_amqp(plan) if plan.transport == "amqp" else _over_kafka(plan))
    report = PublishReport(len(plan.numbers), time.monotonic() - began)
    sys.stdout.buffer.write(msgspec.json.encode(report))


class _Pace:
    """How many events are due; all of them without a rate."""

    def __init__(self, plan: PublishPlan) -> None:
        self._numbers = plan.numbers
        self._rate = plan.rate
        self._began = time.monotonic()

    async def until_due(self, number: int) -> int:
        """Wait until event `number` is due; the number before which events are due by then."""
        if self._rate is None:
            return self._numbers.stop
        place = number - self._numbers.start
        wait = self._began + (place + 1) / self._rate - time.monotonic()
        if wait > 0:
            await asyncio.sleep(max(wait, TICK_SECONDS))
        due = int((time.monotonic() - self._began) * self._rate)
        return min(self._numbers.stop, self._numbers.start + max(due, place + 1))


async def _over_kafka(plan: PublishPlan) -> None:
    from aiokafka import AIOKafkaProducer

    from benchmarks.stream.events import EventMaker

    maker = EventMaker(plan.events)
    # The client itself tries again for so long, one request for a partition at a time.
    producer = AIOKafkaProducer(
        bootstrap_servers=plan.address,
        acks="all",
        request_timeout_ms=PATIENCE_SECONDS * 1000,
        max_request_size=1_000_000,
        max_batch_size=200_000,
    )
    await producer.start()
    pace = _Pace(plan)
    waiting: set[asyncio.Future[object]] = set()
    number = plan.numbers.start
    try:
        while number < plan.numbers.stop:
            due = await pace.until_due(number)
            for number in range(number, min(due, number + PORTION)):  # noqa: B020
                waiting.add(
                    await producer.send(plan.hub, maker.value(number), key=maker.key(number))
                )
            number += 1
            while len(waiting) > IN_FLIGHT:
                waiting = await _fewer(waiting)
        while waiting:
            waiting = await _fewer(waiting)
    finally:
        await producer.stop()


async def _fewer(waiting: set[asyncio.Future[object]]) -> set[asyncio.Future[object]]:
    """Those that are not yet acknowledged, after some were."""
    done, left = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for future in done:
        future.result()
    return left


async def _over_amqp(plan: PublishPlan) -> None:
    from azure.eventhub.aio import EventHubProducerClient

    from benchmarks.stream.events import EventMaker

    maker = EventMaker(plan.events)
    pace = _Pace(plan)
    client = EventHubProducerClient.from_connection_string(
        plan.address, eventhub_name=plan.hub, retry_total=0
    )
    async with client:
        number = plan.numbers.start
        while number < plan.numbers.stop:
            end = min(await pace.until_due(number), number + PORTION)
            parts: dict[int, list[bytes]] = {}
            for n in range(number, end):
                parts.setdefault(n % plan.events.subjects % plan.partitions, []).append(
                    maker.value(n)
                )
            await asyncio.gather(*(_send(client, str(p), values) for p, values in parts.items()))
            number = end


async def _send(client: object, partition: str, values: list[bytes]) -> None:
    """All of them in one batch after the other, each until the hub has it."""
    from azure.eventhub import EventData
    from azure.eventhub.exceptions import EventHubError

    deadline = time.monotonic() + PATIENCE_SECONDS
    at = 0
    while at < len(values):
        try:
            batch = await client.create_batch(partition_id=partition)  # type: ignore[attr-defined]
            end = at
            while end < len(values):
                event = EventData(values[end])
                event.content_type = "application/cloudevents+json"
                try:
                    batch.add(event)
                except ValueError:  # it is full
                    break
                end += 1
            await client.send_batch(batch)  # type: ignore[attr-defined]
        except (EventHubError, OSError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)
        else:
            at = end


if __name__ == "__main__":
    main()
