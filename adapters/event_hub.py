"""The event hub over the Kafka protocol: connection, messages, and publishing.

Consuming is in `adapters.event_subscriber`; both together are the one door to FastStream's Kafka
broker and aiokafka. Client options are those that Event Hubs prescribes ("Apache Kafka client
configurations for Azure Event Hubs", learn.microsoft.com). Any other Kafka-protocol broker takes
them too.
"""

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLPlaintext

from scoring.errors import BrokerUnavailable, ConfigurationError, InputError

SecurityProtocol = Literal["auto", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Headers = tuple[tuple[str, bytes], ...]

MAX_BATCH_SECONDS = 300.0
"""A consumer that takes longer over one batch is put out of its group."""

MAX_REQUEST_BYTES = 1_000_000
_PORTION_BYTES = 950_000
_MESSAGE_OVERHEAD_BYTES = 128
_SECURE_SESSION_SECONDS = 30.0
_PLAIN_SESSION_SECONDS = 6.0
_CLIENT_ID = "trilane"


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach the event hub.

    `bootstrap_servers` is host:port, several with commas. With a `connection_string` (secret) the
    client signs in as Event Hubs asks: SASL PLAIN, user `$ConnectionString`. `security_protocol`
    "auto" is SASL_SSL with a connection string and PLAINTEXT without. `session_seconds` None is
    30 with a connection string and 6 without: joining a group takes up to half of it on some
    brokers.
    """

    bootstrap_servers: str
    connection_string: str | None = field(default=None, repr=False)
    security_protocol: SecurityProtocol = "auto"
    session_seconds: float | None = None

    def __post_init__(self) -> None:
        """Raises ConfigurationError when protocol and connection string contradict each other."""
        signs_in = self.connection_string is not None
        if self.security_protocol != "auto" and signs_in != ("SASL" in self.security_protocol):
            raise ConfigurationError(
                f"security protocol {self.security_protocol} "
                + ("takes no" if signs_in else "needs a")
                + " connection string"
            )

    def security(self) -> BaseSecurity | None:
        """FastStream's form of it; None for a plain connection."""
        secure = self.security_protocol in ("SSL", "SASL_SSL")
        if self.connection_string is not None:
            secure = secure or self.security_protocol == "auto"
            context = ssl.create_default_context() if secure else None
            return SASLPlaintext(
                "$ConnectionString", self.connection_string, use_ssl=secure, ssl_context=context
            )
        return BaseSecurity(ssl.create_default_context(), use_ssl=True) if secure else None

    def client_options(self) -> dict[str, Any]:
        """What consumers and producers share, except security."""
        return {
            "bootstrap_servers": [s.strip() for s in self.bootstrap_servers.split(",")],
            "client_id": _CLIENT_ID,
            "metadata_max_age_ms": 180_000,
            "connections_max_idle_ms": 180_000,
            "request_timeout_ms": 60_000,
        }

    def group_options(self) -> dict[str, Any]:
        """What members of a consumer group need besides."""
        default = _PLAIN_SESSION_SECONDS if self.connection_string is None else None
        seconds = self.session_seconds or default or _SECURE_SESSION_SECONDS
        return {
            "session_timeout_ms": int(seconds * 1000),
            "heartbeat_interval_ms": int(min(3.0, seconds / 3) * 1000),
            "max_poll_interval_ms": int(MAX_BATCH_SECONDS * 1000),
        }


@dataclass(frozen=True, slots=True)
class Received:
    """One event as the hub gave it; nothing of it was decoded. `timestamp_ms` is -1 for none."""

    hub: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One event to publish; events with the same key keep their order."""

    hub: str
    key: bytes | None
    value: bytes
    headers: Headers = ()

    @property
    def size(self) -> int:
        """An upper bound of its size in a request, in bytes."""
        sizes = (len(name) + len(value) for name, value in self.headers)
        return len(self.value) + len(self.key or b"") + sum(sizes) + _MESSAGE_OVERHEAD_BYTES


class EventHubWriter:
    """Publishes events and waits until the hub has them. `async with` connects and closes."""

    def __init__(self, connection: Connection, hubs: Sequence[str]) -> None:
        """`hubs` must exist when it connects."""
        self._connection = connection
        self._hubs = tuple(hubs)
        self._producer: AIOKafkaProducer | None = None

    async def connect(self) -> None:
        """Raises BrokerUnavailable when the broker does not answer or lacks one of the hubs."""
        self._producer = AIOKafkaProducer(
            **self._connection.client_options(),
            **parse_security(self._connection.security()),
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

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
            for portion in _portions(messages):
                await self._write_portion(portion)

    async def _write_portion(self, portion: Sequence[Outgoing]) -> None:
        if self._producer is None:
            raise RuntimeError("the writer is not connected; use it in `async with`")
        sent: list[asyncio.Future[Any]] = []
        try:
            for m in portion:
                headers = list(m.headers)
                sent.append(await self._producer.send(m.hub, m.value, m.key, headers=headers))
        finally:
            results = await asyncio.gather(*sent, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result


@contextmanager
def translated(bootstrap_servers: str) -> Iterator[None]:
    """Turns the client's errors into BrokerUnavailable."""
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerUnavailable(
            f"the event hub at {bootstrap_servers} did not answer as it should: {named(error)}"
        ) from error


def _portions(messages: Sequence[Outgoing]) -> Iterator[Sequence[Outgoing]]:
    """What may be in flight together: a request may hold a batch for every partition, and Event
    Hubs closes the connection when a request is larger than about 1 MB.
    """
    start, size = 0, 0
    for position, message in enumerate(messages):
        if position > start and size + message.size > _PORTION_BYTES:
            yield messages[start:position]
            start, size = position, 0
        size += message.size
    if start < len(messages):
        yield messages[start:]


def named(error: BaseException) -> str:
    """A client error in one line."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
