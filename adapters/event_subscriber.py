"""Consuming from the event hub in batches, through FastStream."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    ConsumerStoppedError,
    IllegalStateError,
    KafkaError,
    UnsupportedCodecError,
)
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber
from faststream.message import StreamMessage

from adapters.event_hub import Connection, Received, named
from scoring.errors import BrokerUnavailable, InputError, TrilaneError

_COMMIT_SECONDS = 30.0
_POLL_MS = 50  # FastStream also sleeps this long after an empty poll
_Records = tuple[ConsumerRecord[Any, Any], ...]


class PartitionsMoved(BrokerUnavailable):
    """The group gave these partitions to another member; it gets the uncommitted events again."""


class EventBatch:
    """Events taken together, from one partition or several, in order within each."""

    def __init__(self, events: tuple[Received, ...], consumer: AIOKafkaConsumer) -> None:
        self.events = events
        self._consumer = consumer

    async def commit(self) -> None:
        """Commit exactly these events: per partition, the offset after its last one.

        Raises PartitionsMoved when they are another member's now, BrokerUnavailable when the hub
        did not confirm in time (it may have committed all the same).
        """
        offsets = {TopicPartition(e.hub, e.partition): e.offset + 1 for e in self.events}
        try:
            # aiokafka repeats a commit for ever while it finds no coordinator.
            await asyncio.wait_for(self._consumer.commit(offsets), _COMMIT_SECONDS)
        except (CommitFailedError, IllegalStateError) as error:
            raise PartitionsMoved("the partitions moved to another worker") from error
        except (KafkaError, TimeoutError) as error:
            raise BrokerUnavailable(f"offsets were not committed: {named(error)}") from error

    async def lag(self) -> int:
        """Events in the assigned partitions behind the last batch taken, as of the last fetch."""
        # The high watermark of a fetch, because some brokers answer ListOffsets(latest) wrongly.
        # Where there was a fetch the position is known, so asking for it does not wait.
        marks = [(p, self._consumer.highwater(p)) for p in self._consumer.assignment()]
        waiting = 0
        for partition, mark in marks:
            try:
                if mark is not None:
                    waiting += max(0, mark - await self._consumer.position(partition))
            except IllegalStateError:  # it moved away meanwhile
                continue
        return waiting


def event_broker(connection: Connection, graceful_seconds: float) -> KafkaBroker:
    """FastStream's broker, for consuming only: no producer, no admin client, creates no hubs.

    Stopping it waits up to `graceful_seconds` for the batch in hand.
    """
    return KafkaBroker(
        **connection.client_options(),
        security=connection.security(),
        consumer_only=True,
        allow_auto_create_topics=False,
        graceful_timeout=graceful_seconds,
        apply_types=False,
        logger=logging.getLogger(__name__),
        log_level=logging.DEBUG,
    )


def batch_subscriber(
    broker: KafkaBroker,
    connection: Connection,
    hub: str,
    group: str,
    max_records: int,
    on_failure: Callable[[TrilaneError], None],
) -> BatchSubscriber:
    """A subscriber whose handler takes an `EventBatch` of at most `max_records`.

    Nothing is acknowledged for the handler: what it does not commit is delivered again after a
    restart or a rebalance. A group that never committed starts at the earliest event. When events
    cannot be fetched it takes no more and calls `on_failure`.
    """

    async def parse(records: _Records) -> KafkaAckableMessage:
        # FastStream's own parser decodes every header as UTF-8 and fails on one that is not.
        batch = EventBatch(tuple(map(_received, records)), subscriber.consumer)
        return KafkaAckableMessage(raw_message=records, body=batch, consumer=subscriber.consumer)

    async def decode(message: StreamMessage[Any]) -> Any:
        return message.body

    subscriber: BatchSubscriber = broker.subscriber(
        hub,
        batch=True,
        group_id=group,
        max_records=max_records,
        batch_timeout_ms=_POLL_MS,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.MANUAL,
        no_reply=True,
        parser=parse,
        decoder=decode,
        **connection.group_options(),
    )
    subscriber.get_msg = _guarded(subscriber.get_msg, hub, on_failure)  # type: ignore[method-assign]
    return subscriber


def _guarded(
    fetch: Callable[[AIOKafkaConsumer], Awaitable[_Records]],
    hub: str,
    on_failure: Callable[[TrilaneError], None],
) -> Any:
    """Ends the consume loop at the first error of a fetch.

    FastStream would fetch again, and that could lose events: when one partition's records cannot
    be decoded, aiokafka drops those it has drained from others, with their positions moved on.
    """

    async def guarded(consumer: AIOKafkaConsumer) -> _Records:
        try:
            return await fetch(consumer)
        except ConsumerStoppedError:
            raise
        except Exception as error:
            on_failure(_unfetched(hub, error))
            raise ConsumerStoppedError from error

    return guarded


def _unfetched(hub: str, error: Exception) -> TrilaneError:
    text = f"events of {hub} cannot be fetched: {type(error).__name__}"
    if isinstance(error, KafkaError) and not isinstance(error, UnsupportedCodecError):
        return BrokerUnavailable(text)
    return InputError(f"{text} (compressed or encoded in a way this client cannot read)")


def _received(record: ConsumerRecord[Any, Any]) -> Received:
    headers = tuple((str(name), bytes(value or b"")) for name, value in record.headers)
    return Received(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        headers,
    )
