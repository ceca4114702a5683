"""Consuming over the Kafka protocol, through FastStream."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    ConsumerStoppedError,
    IllegalStateError,
    KafkaError,
    UnsupportedCodecError,
)
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber
from faststream.message import StreamMessage

from adapters.event_hub.kafka_claims import KafkaClaims, Records, Taken
from adapters.event_hub.kafka_connection import KafkaConnection, translated
from adapters.event_hub.kafka_hubs import require_hubs
from adapters.event_hub.kafka_sign_in import check_sign_in
from adapters.event_hub.messages import Received, named
from adapters.event_hub.ports import Claim, PartitionsMoved, Taker
from scoring.errors import BrokerUnavailable, InputError, TrilaneError

_COMMIT_SECONDS: Final = 30.0
_LAG_SECONDS: Final = 10.0
_POLL_MS: Final = 50  # FastStream also sleeps this long after an empty poll
_FETCH_MS: Final = 100  # some brokers do not answer before it although events arrive
_PATIENCE_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


class KafkaSource:
    """An `EventSource`: a FastStream application with one batch subscriber.

    Nothing is acknowledged for the taker: what is not committed is delivered again after a restart
    or a rebalance.
    """

    def __init__(self, connection: KafkaConnection, hub: str, group: str, max_records: int) -> None:
        """A fetch returns at most `max_records` events, of one partition or several."""
        self._connection = connection
        self._hub = hub
        self._claims = KafkaClaims()
        self._fetched: tuple[Taken, ...] = ()
        self._takings: set[asyncio.Task[None]] = set()
        self._broker = _broker(connection)
        self._subscriber = self._subscribe(group, max_records)
        self._app = FastStream(self._broker, logger=logger)
        self._started = False

    async def start(self, taker: Taker) -> None:
        """See `EventSource`."""
        self._claims.taker = taker
        await check_sign_in(self._connection)
        await require_hubs(self._connection, [self._hub])
        with translated(self._connection.bootstrap_servers):
            self._started = True
            await self._app.start()

    async def stop(self) -> None:
        """See `EventSource`."""
        if not self._started:
            return
        self._claims.leaving = True
        await self._claims.release()
        for taking in self._takings:
            taking.cancel()
        with suppress(KafkaError, OSError, TimeoutError):  # it leaves anyway
            await self._app.stop()

    async def commit(self, last: Mapping[Claim, Received]) -> None:
        """See `EventSource`."""
        offsets = {
            TopicPartition(claim.hub, claim.partition): event.offset + 1
            for claim, event in last.items()
            if not claim.lost
        }
        if not offsets:
            return
        try:
            # aiokafka repeats a commit for ever while it finds no coordinator.
            await asyncio.wait_for(self._consumer.commit(offsets), _COMMIT_SECONDS)
        except (CommitFailedError, IllegalStateError) as error:
            raise PartitionsMoved("the partitions moved to another worker") from error
        except (KafkaError, TimeoutError) as error:
            raise BrokerUnavailable(f"offsets were not committed: {named(error)}") from error
        self._claims.committed(last)

    async def lag(self) -> Mapping[Claim, int]:
        """See `EventSource`. What the broker says is the end, or the last fetch where that saw
        more: some brokers answer ListOffsets(latest) wrongly.
        """
        consumer = self._consumer
        claims = self._claims.all()
        partitions = {claim: TopicPartition(claim.hub, claim.partition) for claim in claims}
        found: dict[Claim, int] = {}
        try:
            async with asyncio.timeout(_LAG_SECONDS):
                ends = await consumer.end_offsets(list(partitions.values())) if claims else {}
                for claim, partition in partitions.items():
                    done = self._claims.position(claim)
                    if done is None:
                        done = await self._first(consumer, partition)
                    end = max(ends.get(partition, 0), consumer.highwater(partition) or 0)
                    found[claim] = max(0, end - done)
        except IllegalStateError:  # one moved away meanwhile
            return found
        except (KafkaError, TimeoutError) as error:
            raise BrokerUnavailable(f"the lag is not known: {named(error)}") from error
        return found

    @staticmethod
    async def _first(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int:
        """Where the group begins: what it committed, else the earliest event."""
        committed: int | None = await consumer.committed(partition)
        if committed is not None:
            return committed
        return int((await consumer.beginning_offsets([partition]))[partition])

    @property
    def _consumer(self) -> AIOKafkaConsumer:
        consumer = self._subscriber.consumer
        if consumer is None:
            raise BrokerUnavailable("the event hub is not connected")
        return consumer

    def _subscribe(self, group: str, max_records: int) -> BatchSubscriber:
        async def parse(records: Records) -> KafkaAckableMessage:
            # FastStream's own parser decodes every header as UTF-8 and fails on one that is not.
            return KafkaAckableMessage(raw_message=records, body=records, consumer=self._consumer)

        async def decode(message: StreamMessage[Any]) -> Any:
            return message.body

        subscriber: BatchSubscriber = self._broker.subscriber(
            self._hub,
            batch=True,
            group_id=group,
            max_records=max_records,
            batch_timeout_ms=_POLL_MS,
            fetch_max_wait_ms=_FETCH_MS,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            parser=parse,
            decoder=decode,
            listener=self._claims,
            **self._connection.group_options(),
        )
        subscriber.get_msg = self._guarded(subscriber.get_msg)  # type: ignore[method-assign]
        subscriber(self._handle)
        return subscriber

    async def _handle(self, _records: Records) -> None:
        """Give the events to the taker. A partition whose events it does not take is paused, while
        the others go on and polling keeps the membership.
        """
        taken, self._fetched = self._fetched, ()
        taker = self._claims.taker
        if taker is None or not taken:
            return
        takings = {asyncio.create_task(taker.take(c, events)): c for c, events in taken}
        self._takings |= takings.keys()
        done, waiting = await asyncio.wait(takings, timeout=_PATIENCE_SECONDS)
        self._takings -= done
        for taking in waiting:
            self._pause(taking, takings[taking])

    def _pause(self, taking: asyncio.Task[None], claim: Claim) -> None:
        """Until it has taken."""
        partition = TopicPartition(claim.hub, claim.partition)
        if partition in self._consumer.assignment():
            self._consumer.pause(partition)

        def resume(_: object) -> None:
            self._takings.discard(taking)
            consumer = self._subscriber.consumer
            if consumer is not None and not claim.lost and partition in consumer.assignment():
                consumer.resume(partition)

        taking.add_done_callback(resume)

    def _guarded(self, fetch: Callable[[AIOKafkaConsumer], Awaitable[Records]]) -> Any:
        """Fetches events and says at once to which claims they belong.

        Ends the consume loop at the first error of a fetch. FastStream would fetch again, and that
        could lose events: when one partition's records cannot be decoded, aiokafka drops those it
        has drained from others, with their positions moved on.
        """

        async def guarded(consumer: AIOKafkaConsumer) -> Records:
            try:
                if self._fetched:  # FastStream logs what fails before the handler, and goes on
                    raise RuntimeError("events were fetched and not handled")
                records = await fetch(consumer)
            except ConsumerStoppedError:
                raise
            except Exception as error:
                self._claims.fail(_unfetched(self._hub, error))
                raise ConsumerStoppedError from error
            # No other task ran since aiokafka looked whether they are still this worker's.
            self._fetched = self._claims.sorted(records)
            return records

        return guarded


def _broker(connection: KafkaConnection) -> KafkaBroker:
    """FastStream's broker, for consuming only: no producer, no admin client, creates no hubs."""
    return KafkaBroker(
        **connection.client_options(),
        **connection.token_options(),
        security=connection.security(),
        consumer_only=True,
        allow_auto_create_topics=False,
        graceful_timeout=_STOP_SECONDS,
        apply_types=False,
        logger=logging.getLogger(__name__),
        log_level=logging.DEBUG,
    )


def _unfetched(hub: str, error: Exception) -> TrilaneError:
    text = f"events of {hub} cannot be fetched: {type(error).__name__}"
    if isinstance(error, KafkaError) and not isinstance(error, UnsupportedCodecError):
        return BrokerUnavailable(text)
    if isinstance(error, RuntimeError):
        return BrokerUnavailable(f"{text}: {error}")
    return InputError(f"{text} (compressed or encoded in a way this client cannot read)")
