"""A source or a writer for a connection, of whichever protocol it is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from adapters.event_hub.kafka_connection import KafkaConnection
from adapters.event_hub.ports import EventSource, EventWriter

if TYPE_CHECKING:
    from adapters.event_hub.amqp_connection import AmqpConnection

    Connection = KafkaConnection | AmqpConnection


def open_source(connection: "Connection", hub: str, group: str, max_records: int) -> EventSource:
    """A source of the hub's events for a consumer group; connects to nothing before it starts.

    It gives at most `max_records` events at once. Raises ConfigurationError.
    """
    if isinstance(connection, KafkaConnection):
        from adapters.event_hub.kafka_source import KafkaSource

        return KafkaSource(connection, hub, group, max_records)
    from adapters.event_hub.amqp_source import AmqpSource

    return AmqpSource(connection, hub, group, max_records)


def open_writer(connection: "Connection", hubs: Sequence[str]) -> EventWriter:
    """A writer to these hubs, which must exist when it connects. Raises ConfigurationError."""
    if isinstance(connection, KafkaConnection):
        from adapters.event_hub.kafka_writer import KafkaWriter

        return KafkaWriter(connection, hubs)
    from adapters.event_hub.amqp_writer import AmqpWriter

    return AmqpWriter(connection, hubs)
