"""Where a consumer group over AMQP keeps its claims and checkpoints: blobs of a container."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp
from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError
from azure.eventhub.aio import CheckpointStore
from azure.eventhub.extensions.checkpointstoreblobaio import BlobCheckpointStore

from adapters.event_hub.amqp_connection import AmqpConnection
from scoring.errors import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.storage.blob.aio import ContainerClient

OPEN_SECONDS: Final = 60.0

_SCHEMES: Final = ("abfs", "abfss", "az")
_REFUSED: Final = (401, 403)
_PATIENCE: Final[dict[str, Any]] = {
    "connection_timeout": 10,
    "read_timeout": 20,
    # The SDK's own first pause is 15 seconds. Commits and claims are repeated anyway.
    "retry_total": 2,
    "initial_backoff": 1,
    "increment_base": 2,
    "random_jitter_range": 1,
}


class GroupStore(CheckpointStore):
    """The SDK's checkpoint store, and what the SDK read from it."""

    def __init__(self, store: CheckpointStore, looked: Callable[[], None]) -> None:
        """`looked` is called whenever it was seen who owns which partition."""
        self.checkpoints: dict[str, int] = {}
        """The sequence numbers that were last read, by partition id."""
        self._store = store
        self._looked = looked

    async def list_ownership(
        self, fully_qualified_namespace: str, eventhub_name: str, consumer_group: str, **kwargs: Any
    ) -> Iterable[dict[str, Any]]:
        """See `CheckpointStore`."""
        place = fully_qualified_namespace, eventhub_name, consumer_group
        found = await self._store.list_ownership(*place, **kwargs)
        self._looked()
        return found

    async def claim_ownership(
        self, ownership_list: Iterable[dict[str, Any]], **kwargs: Any
    ) -> Iterable[dict[str, Any]]:
        """See `CheckpointStore`."""
        return await self._store.claim_ownership(ownership_list, **kwargs)

    async def update_checkpoint(
        self, checkpoint: dict[str, str | int | None], **kwargs: Any
    ) -> None:
        """See `CheckpointStore`."""
        await self._store.update_checkpoint(checkpoint, **kwargs)

    async def list_checkpoints(
        self, fully_qualified_namespace: str, eventhub_name: str, consumer_group: str, **kwargs: Any
    ) -> Iterable[dict[str, Any]]:
        """See `CheckpointStore`."""
        place = fully_qualified_namespace, eventhub_name, consumer_group
        found = list(await self._store.list_checkpoints(*place, **kwargs))
        self.checkpoints = {x["partition_id"]: int(x["sequence_number"]) for x in found}
        return found


async def open_checkpoints(
    connection: AmqpConnection, credential: "AsyncTokenCredential | None"
) -> BlobCheckpointStore:
    """The store; its container is created when it is missing. The caller closes it.

    Raises ConfigurationError when there is no place for it, or when the storage refuses the
    sign-in or the container; StorageUnavailable.
    """
    container = connection.checkpoint_container
    with stored(container, opening=True):
        async with asyncio.timeout(OPEN_SECONDS), _container(connection, credential) as client:
            if not await client.exists():
                with suppress(ResourceExistsError):  # another worker was faster
                    await client.create_container()
    if connection.storage_connection_string is not None:
        return BlobCheckpointStore.from_connection_string(
            connection.storage_connection_string, container, **_PATIENCE
        )
    return BlobCheckpointStore(_blob_url(connection), container, credential=credential, **_PATIENCE)


@contextmanager
def stored(container: str, opening: bool = False) -> Iterator[None]:
    """Turns the storage client's errors into StorageUnavailable; while `opening`, what it refuses
    into ConfigurationError.
    """
    try:
        yield
    except (AzureError, aiohttp.ClientError, OSError, TimeoutError) as error:
        status = error.status_code if isinstance(error, HttpResponseError) else None
        said = type(error).__name__ + (f", status {status}" if status is not None else "")
        if opening and (status in _REFUSED or status == 400):
            raise ConfigurationError(
                f"the storage refused the checkpoint container {container}: {said}"
            ) from error
        raise StorageUnavailable(f"the checkpoint container {container}: {said}") from error


def _container(
    connection: AmqpConnection, credential: "AsyncTokenCredential | None"
) -> "ContainerClient":
    try:
        from azure.storage.blob.aio import ContainerClient
    except ImportError as error:
        raise ConfigurationError("checkpoints need the extra 'azure'") from error
    name = connection.checkpoint_container
    if connection.storage_connection_string is None:
        return ContainerClient(_blob_url(connection), name, credential=credential, **_PATIENCE)
    try:
        return ContainerClient.from_connection_string(
            connection.storage_connection_string, name, **_PATIENCE
        )
    except ValueError:  # its text is not repeated: what is malformed holds a secret
        raise ConfigurationError("the storage connection string is malformed") from None


def _blob_url(connection: AmqpConnection) -> str:
    """The blob endpoint of the account in an abfs: URL."""
    url = urlsplit(connection.storage_url or "")
    host = url.netloc.rpartition("@")[2]
    if url.scheme not in _SCHEMES or "." not in host:
        raise ConfigurationError(
            "transport amqp keeps its checkpoints in an Azure storage account: it needs a storage "
            "URL like abfs://container@account.dfs.core.windows.net/ or a storage connection string"
        )
    return f"https://{host.replace('.dfs.', '.blob.', 1)}"
