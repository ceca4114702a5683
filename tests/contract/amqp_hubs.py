"""Hubs of the stand-in for Event Hubs."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from adapters.event_hub.amqp_connection import AmqpConnection
from adapters.event_hub.opening import open_source, open_writer
from adapters.event_hub.ports import EventSource, EventWriter
from tests.contract.event_hubs import MAX_RECORDS, PARTITIONS, SESSION_SECONDS
from tests.support.amqp_hub.process import AmqpHub

_HUBS = tuple(f"hub-{number}" for number in range(60))


class AmqpNamespace:
    """Hubs of a server that was started with all of them."""

    def __init__(self, connection: AmqpConnection) -> None:
        self._connection = connection
        self._unused = list(_HUBS)

    def hub(self) -> str:
        """See `Namespace`."""
        return self._unused.pop(0)

    def source(self, hub: str, group: str = "group") -> EventSource:
        """See `Namespace`."""
        return open_source(self._connection, hub, group, MAX_RECORDS)

    def writer(self, *hubs: str) -> EventWriter:
        """See `Namespace`."""
        return open_writer(self._connection, hubs)


@contextmanager
def amqp_namespace(storage_connection_string: str) -> Iterator[AmqpNamespace]:
    """A server with its checkpoints in a container of this storage account, gone afterwards."""
    from azure.storage.blob import BlobServiceClient

    container = f"checkpoints-{uuid.uuid4().hex}"
    with (
        BlobServiceClient.from_connection_string(storage_connection_string) as client,
        AmqpHub.start(_HUBS, PARTITIONS) as server,
    ):
        client.create_container(container)
        try:
            yield AmqpNamespace(
                AmqpConnection(
                    connection_string=server.connection_string,
                    session_seconds=SESSION_SECONDS,
                    storage_url=f"abfs://data@{client.account_name}.dfs.core.windows.net",
                    storage_connection_string=storage_connection_string,
                    checkpoint_container=container,
                )
            )
        finally:
            client.delete_container(container)
