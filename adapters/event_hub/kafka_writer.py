"""Publishing over the Kafka protocol, with aiokafka."""

import asyncio
from collections.abc import Sequence
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from faststream.kafka.security import parse_security

from adapters.event_hub.kafka_connection import KafkaConnection, translated
from adapters.event_hub.kafka_sign_in import check_sign_in
from adapters.event_hub.messages import MAX_REQUEST_BYTES, Outgoing, portions
from adapters.event_hub.partitioning import place_of_key
from scoring.errors import InputError


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
        for message in messages:
            if message.size > MAX_REQUEST_BYTES:
                raise InputError(f"an event for {message.hub} exceeds {MAX_REQUEST_BYTES} bytes")
        with translated(self._connection.bootstrap_servers):
            for portion in portions(messages):
                await self._write_portion(portion)

    async def _write_portion(self, portion: Sequence[Outgoing]) -> None:
        if self._producer is None:
            raise RuntimeError("the writer is not connected; use it in `async with`")
        sent: list[asyncio.Future[Any]] = []
        try:
            for (hub, partition), messages in (await self._by_partition(portion)).items():
                # One batch of our own is several times as fast as one message after the other.
                batch = self._producer.create_batch()
                for m in messages:
                    batch.append(timestamp=None, key=m.key, value=m.value, headers=list(m.headers))
                sent.append(await self._producer.send_batch(batch, hub, partition=partition))
        finally:
            results = await asyncio.gather(*sent, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _by_partition(
        self, messages: Sequence[Outgoing]
    ) -> dict[tuple[str, int], list[Outgoing]]:
        assert self._producer is not None  # noqa: S101 (told apart by the caller)
        partitions = {
            hub: sorted(await self._producer.partitions_for(hub))
            for hub in {m.hub for m in messages}
        }
        found: dict[tuple[str, int], list[Outgoing]] = {}
        for m in messages:
            known = partitions[m.hub]
            self._turn += m.key is None
            place = self._turn % len(known) if m.key is None else place_of_key(m.key, len(known))
            found.setdefault((m.hub, known[place]), []).append(m)
        return found
