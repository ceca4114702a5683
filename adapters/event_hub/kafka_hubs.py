"""Whether hubs exist, without making them: some brokers create a hub that a client asks for."""

from collections.abc import Sequence

from aiokafka.client import AIOKafkaClient
from faststream.kafka.security import parse_security

from adapters.event_hub.kafka_connection import KafkaConnection, translated
from scoring.errors import BrokerUnavailable


async def require_hubs(connection: KafkaConnection, hubs: Sequence[str]) -> None:
    """Raises BrokerUnavailable when one does not exist (it may be on its way), or when the broker
    does not answer.
    """
    client = AIOKafkaClient(
        **connection.client_options(),
        **parse_security(connection.security()),
        **connection.token_options(),
    )
    try:
        with translated(connection.bootstrap_servers):
            await client.bootstrap()
            found = (await client.fetch_all_metadata()).topics()
    finally:
        await client.close()
    for hub in hubs:
        if hub not in found:
            raise BrokerUnavailable(f"there is no hub {hub} at {connection.bootstrap_servers}")
