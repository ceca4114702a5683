"""Reading a hub once over the Kafka protocol, with aiokafka."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, UnsupportedCodecError
from faststream.kafka.security import parse_security

from adapters.event_hub.kafka_claims import received
from adapters.event_hub.kafka_connection import KafkaConnection, translated
from adapters.event_hub.kafka_sign_in import check_sign_in
from adapters.event_hub.messages import Received
from scoring.errors import BrokerUnavailable, InputError

_POLL_MS: Final = 200


async def read_kafka(
    connection: KafkaConnection, hub: str, silent_seconds: float
) -> AsyncGenerator[Received]:
    """See `read_all`. Where a partition ends is what the broker says with its first fetch of it:
    some brokers answer ListOffsets(latest) wrongly.
    """
    await check_sign_in(connection)
    consumer = AIOKafkaConsumer(
        hub,
        **connection.client_options(),
        **connection.token_options(),
        **parse_security(connection.security()),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    try:
        with translated(connection.bootstrap_servers):
            await consumer.start()
        partitions = set(consumer.assignment())
        consumer.unsubscribe()
        consumer.assign(partitions)  # these: a subscription begins anew when partitions are added
        reading = _Reading(consumer, hub, partitions, silent_seconds)
        while not reading.ended:
            with translated(connection.bootstrap_servers):
                records = await reading.fetch()
            for record in records:
                yield received(record)
    finally:
        await consumer.stop()


class _Reading:
    """The partitions of a hub that were not read to their ends."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        hub: str,
        partitions: Iterable[TopicPartition],
        silent_seconds: float,
    ) -> None:
        self._consumer = consumer
        self._hub = hub
        self._left = set(partitions)
        self._silent_seconds = silent_seconds
        self._ends: dict[TopicPartition, int] = {}
        self._heard = asyncio.get_running_loop().time()

    @property
    def ended(self) -> bool:
        """Whether all of them were."""
        return not self._left

    async def fetch(self) -> list[ConsumerRecord[Any, Any]]:
        """The next records; maybe none. Raises KafkaError, TimeoutError, TrilaneError."""
        consumer = self._consumer
        try:
            fetched = await consumer.getmany(timeout_ms=_POLL_MS)
        except Exception as error:
            if isinstance(error, KafkaError) and not isinstance(error, UnsupportedCodecError):
                raise
            raise InputError(
                f"events of {self._hub} cannot be fetched: {type(error).__name__} "
                "(compressed or encoded in a way this client cannot read)"
            ) from error
        before = len(self._left)
        for partition in list(self._left):
            end = consumer.highwater(partition)
            if end is None:
                continue
            self._ends.setdefault(partition, end)
            async with asyncio.timeout(self._silent_seconds):
                position = await consumer.position(partition)
            if position >= self._ends[partition]:
                self._left.remove(partition)
                consumer.pause(partition)
        self._listen(bool(fetched) or len(self._left) < before)
        return [
            record
            for partition, records in fetched.items()
            for record in records
            if record.offset < self._ends[partition]
        ]

    def _listen(self, heard: bool) -> None:
        now = asyncio.get_running_loop().time()
        if heard:
            self._heard = now
        elif now - self._heard > self._silent_seconds:
            raise BrokerUnavailable(f"{self._hub} gave nothing for {self._silent_seconds:.0f} s")
