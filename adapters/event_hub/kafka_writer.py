"""Publishing over the Kafka protocol, with aiokafka."""

import asyncio
from collections.abc import Sequence
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from faststream.kafka.security import parse_security

from adapters.event_hub.kafka_connection import KafkaConnection, translated
from adapters.event_hub.kafka_hubs import require_hubs
from adapters.event_hub.kafka_sign_in import check_sign_in
from adapters.event_hub.messages import MAX_REQUEST_BYTES, Outgoing, portions
from adapters.event_hub.partitioning import place_of_key


class KafkaWriter:
    """Publishes events and waits until the hub has them. `async with` connects and closes."""

    def __init__(self, connection: KafkaConnection, hubs: Sequence[str]) -> None:
        """`hubs` must exist when it connects."""
        self._connection = connection
        self._hubs = tuple(hubs)
        self._producer: AIOKafkaProducer | None = None
        self._turn = 0

    async def connect(self) -> None:
        """Raises BrokerUnavailable when the broker does not answer or lacks one of the hubs."""
        await check_sign_in(self._connection)
        await require_hubs(self._connection, self._hubs)
        self._producer = AIOKafkaProducer(
            **self._connection.client_options(),
            **parse_security(self._connection.security()),
            **self._connection.token_options(),
            acks="all",
            max_request_size=MAX_REQUEST_BYTES,
            max_batch_size=MAX_REQUEST_BYTES,
        )
        with translated(self._connection.bootstrap_servers):
            await self._producer.start()
            for hub in self._hubs:
                await self._producer.partitions_for(hub)

    async def close(self) -> None:
        """Finish what is under way and disconnect; nothing happens when not connected."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

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
        """Returns when the hub has acknowledged all of them.

        Raises BrokerUnavailable when it has not, within a minute or so; any of them may have
        arrived then. Raises InputError, with nothing sent, when one is too large for any request.
        Order is kept per key.
        """
        with translated(self._connection.bootstrap_servers):
            for portion in portions(messages):
                await self._write_portion(portion)

    async def _write_portion(self, portion: Sequence[Outgoing]) -> None:
        producer = self._producer
        if producer is None:
            raise RuntimeError("the writer is not connected; use it in `async with`")
        sent: list[asyncio.Future[Any]] = []
        try:
            # A batch of our own is several times as fast as one message after the other.
            for hub, partition, batch in await self._batches(producer, portion):
                sent.append(await producer.send_batch(batch, hub, partition=partition))
        finally:
            results = await asyncio.gather(*sent, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _batches(
        self, producer: AIOKafkaProducer, messages: Sequence[Outgoing]
    ) -> list[tuple[str, int, Any]]:
        """One record batch for each partition, with its messages in their order."""
        found: list[tuple[str, int, Any]] = []
        for hub in dict.fromkeys(m.hub for m in messages):
            known = sorted(await producer.partitions_for(hub))
            batches: dict[int, Any] = {}
            for m in messages:
                if m.hub != hub:
                    continue
                place = self._place(m.key, len(known))
                batch = batches.get(place)
                if batch is None:
                    batch = batches[place] = producer.create_batch()
                batch.append(timestamp=None, key=m.key, value=m.value, headers=list(m.headers))
            found += [(hub, known[place], batch) for place, batch in batches.items()]
        return found

    def _place(self, key: bytes | None, count: int) -> int:
        if key is not None:
            return place_of_key(key, count)
        self._turn += 1
        return self._turn % count
