"""Files in Azure Blob Storage and ADLS Gen2."""

import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import BlobProperties, StorageErrorCode
from azure.storage.blob.aio import BlobClient, BlobPrefix
from fsspec.asyn import sync

from adapters.storage.blob_lease import BlobLease
from adapters.storage.blob_service import BlobFileSystem
from adapters.storage.errors import Changed
from adapters.storage.files import FileInfo, Found
from adapters.storage.leases import Lease
from adapters.storage.retries import Retries

_FOLDER: Final = "hdi_isfolder"  # how ADLS Gen2 marks a directory
_CALL: Final = "trilane_call"
_EXISTS: Final = (StorageErrorCode.BLOB_ALREADY_EXISTS, StorageErrorCode.LEASE_ID_MISSING)
_RANGES_AT_ONCE: Final = 4


class BlobFiles:
    """See `Files`. Paths begin with the container. A blob appears with its last byte."""

    buffer_bytes = 4 << 20

    def __init__(self, filesystem: BlobFileSystem) -> None:
        self._filesystem = filesystem

    def write(self, path: str, data: bytes) -> None:
        """See `Files`."""
        self._filesystem.pipe_file(path, data)

    def write_new(self, path: str, data: bytes) -> bool:
        """See `Files`. The libraries below repeat requests whose answer was lost, so a blob says
        which call put it.
        """
        call, client = {_CALL: uuid.uuid4().hex}, self._client(path)
        try:
            self._run(client.upload_blob, data, metadata=call)
        except HttpResponseError as error:
            if getattr(error, "error_code", None) not in _EXISTS:
                raise
            found = self._run(client.get_blob_properties)
            return bool(found.metadata.get(_CALL) == call[_CALL])
        return True

    def read(self, path: str) -> bytes:
        """See `Files`."""
        try:
            return bytes(self._filesystem.cat_file(path))
        except ResourceModifiedError as error:
            raise InterruptedError(0, "changed while it was read") from error

    def open(self, path: str) -> "BlobContent":
        """See `Files`."""
        client = self._client(path)
        try:
            properties = self._run(client.get_blob_properties)
        except ResourceNotFoundError as error:
            raise FileNotFoundError(path) from error
        return BlobContent(client, properties, self._run)

    def exists(self, path: str) -> bool:
        """See `Files`."""
        return bool(self._filesystem.exists(path))

    def delete(self, path: str) -> None:
        """See `Files`."""
        self._filesystem.rm_file(path)

    def find(self, path: str) -> Found:
        """See `Files`. All of it at once; the SDK repeats single pages of a long list."""
        return Found(self._run(self._find, path))

    def directories(self, path: str) -> Sequence[str]:
        """See `Files`."""
        directories: list[str] = self._run(self._directories, path)
        return directories

    def lease(self, path: str, url: str, retries: Retries, term_seconds: int) -> Lease:
        """See `Files`."""
        return BlobLease(self._client(path), self._filesystem.loop, url, retries, term_seconds)

    # adlfs's find takes a file for a missing one when the service does not answer.
    async def _find(self, path: str) -> list[FileInfo]:
        container, _, name = path.partition("/")
        client = self._filesystem.service_client.get_container_client(container)
        try:
            if name:
                properties = await client.get_blob_client(name).get_blob_properties()
                if not _is_folder(properties):
                    return [_info(container, properties)]
        except ResourceNotFoundError:
            pass
        prefix = f"{name}/" if name else None
        try:
            blobs = client.list_blobs(name_starts_with=prefix, include=["metadata"])
            return [_info(container, blob) async for blob in blobs if not _is_folder(blob)]
        except ResourceNotFoundError:  # the container
            return []

    async def _directories(self, path: str) -> list[str]:
        container, _, name = path.partition("/")
        client = self._filesystem.service_client.get_container_client(container)
        prefix = f"{name}/" if name else None
        try:
            found = client.walk_blobs(name_starts_with=prefix, delimiter="/")
            return [f"{container}/{e.name}" async for e in found if isinstance(e, BlobPrefix)]
        except ResourceNotFoundError:  # the container
            return []

    def _client(self, path: str) -> BlobClient:
        container, _, name = path.partition("/")
        client: BlobClient = self._filesystem.service_client.get_blob_client(container, name)
        return client

    def _run(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return sync(self._filesystem.loop, call, *args, **options)


class BlobContent:
    """See `Content`: pinned to the etag of its opening."""

    def __init__(
        self, client: BlobClient, properties: BlobProperties, run: Callable[..., Any]
    ) -> None:
        self.size = properties.size
        self.etag = _etag(properties)
        self._client = client
        self._run = run

    def read(self, start: int, count: int) -> bytes:
        """See `Content`."""
        count = min(count, self.size - start)
        return bytes(self._run(self._read, start, count)) if count > 0 else b""

    def close(self) -> None:
        """See `Content`; connections are those of the service."""

    async def _read(self, start: int, count: int) -> bytes:
        try:
            stream = await self._client.download_blob(
                start,
                count,
                etag=self.etag,
                match_condition=MatchConditions.IfNotModified,
                max_concurrency=_RANGES_AT_ONCE,
            )
            return await stream.readall()
        except ResourceModifiedError as error:
            raise Changed from error
        except ResourceNotFoundError as error:
            raise FileNotFoundError(self._client.blob_name) from error


def _is_folder(properties: BlobProperties) -> bool:
    marks = {key.lower(): value for key, value in (properties.metadata or {}).items()}
    return marks.get(_FOLDER) == "true"


def _info(container: str, properties: BlobProperties) -> FileInfo:
    return FileInfo(f"{container}/{properties.name}", properties.size, _etag(properties))


def _etag(properties: BlobProperties) -> str:
    quoted = str(properties.etag).strip('"')
    return f'"{quoted}"'
