"""A hub read once, from its beginning to where it ends now, outside of any consumer group."""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from adapters.event_hub.kafka_connection import KafkaConnection
from adapters.event_hub.messages import Received

if TYPE_CHECKING:
    from adapters.event_hub.opening import Connection


def read_all(
    connection: "Connection", hub: str, silent_seconds: float = 60.0
) -> AsyncGenerator[Received]:
    """Every event that the hub holds; those that arrive after the reading has begun are left out.

    In order within a partition; partitions may take turns. An event comes once. What the hub's
    retention removes meanwhile may be missing. Close it (`contextlib.aclosing`) when not read to
    the end. Raises BrokerUnavailable, also when the hub does not exist or says nothing for
    `silent_seconds`; InputError when it holds something that the client cannot read;
    ConfigurationError.
    """
    if isinstance(connection, KafkaConnection):
        from adapters.event_hub.kafka_reading import read_kafka

        return read_kafka(connection, hub, silent_seconds)
    from adapters.event_hub.amqp_reading import read_amqp

    return read_amqp(connection, hub, silent_seconds)
