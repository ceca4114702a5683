"""Consuming over AMQP, with azure-eventhub."""

from collections.abc import Mapping

from adapters.event_hub.amqp_connection import AmqpConnection
from adapters.event_hub.messages import Received
from adapters.event_hub.ports import Claim, Taker


class AmqpSource:
    """An `EventSource`."""

    def __init__(self, connection: AmqpConnection, hub: str, group: str, max_records: int) -> None:
        self._connection = connection
        self._hub = hub
        self._group = group
        self._max_records = max_records

    async def start(self, taker: Taker) -> None:
        """See `EventSource`."""
        raise NotImplementedError

    async def stop(self) -> None:
        """See `EventSource`."""

    async def commit(self, last: Mapping[Claim, Received]) -> None:
        """See `EventSource`."""
        raise NotImplementedError

    async def lag(self) -> Mapping[Claim, int]:
        """See `EventSource`."""
        raise NotImplementedError
