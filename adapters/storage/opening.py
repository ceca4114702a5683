"""From a URL to its storage."""

from pathlib import Path
from typing import Final

import fsspec

from adapters.storage.directory import DirectoryFiles
from adapters.storage.door import Storage
from adapters.storage.files import Files
from adapters.storage.memory import MemoryFiles
from adapters.storage.retries import Retries
from scoring.errors import ConfigurationError

_AZURE: Final = ("abfs", "abfss", "az")


def open_storage(
    url: str, connection_string: str | None = None, retry_seconds: float = 0.0
) -> Storage:
    """The storage at a URL; connects lazily.

    A call that the storage does not answer is tried again for `retry_seconds`. The connection
    string is for Azure URLs, and may hold a SAS token (`BlobEndpoint=…;SharedAccessSignature=…`);
    a URL's own token (`?sv=…&sig=…`) comes before what the string holds. Raises ConfigurationError
    for an unknown scheme, a malformed connection string, or without the package that the scheme
    needs.
    """
    scheme, separator, _ = url.partition("://")
    if not separator:
        url, scheme = f"file://{Path(url).absolute().as_posix()}", "file"
    retries = Retries(retry_seconds)
    if scheme in _AZURE:
        return _open_azure(url, connection_string, retries)
    if scheme not in ("file", "memory"):
        raise ConfigurationError(
            f"storage URL '{scheme}://…' is not supported; use file:, memory: or abfs:"
        )
    filesystem, root = fsspec.core.url_to_fs(url)
    files: Files = DirectoryFiles(filesystem) if scheme == "file" else MemoryFiles(filesystem)
    return Storage(files, root, url, retries)


def _open_azure(url: str, connection_string: str | None, retries: Retries) -> Storage:
    try:
        from adapters.storage.blob_service import BlobFileSystem, blob_place
        from adapters.storage.blobs import BlobFiles
    except ImportError as error:
        raise ConfigurationError("Azure storage URLs need the extra 'azure'") from error
    place = blob_place(url)
    quick = retries.seconds > 0
    filesystem = BlobFileSystem(place.endpoint, connection_string, place.sas, quick)
    return Storage(BlobFiles(filesystem), place.root, place.url, retries)
