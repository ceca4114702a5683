"""The storages every contract about storage is run on."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.storage import Storage, open_storage

AZURITE = "TRILANE_TEST_AZURITE_CONNECTION_STRING"
"""Names a running Azurite (or a test account); the Azure cases fail without it."""


OpenAt = Callable[[str], Storage]
"""Opens the storage at a path below the test's own root; a new door at every call."""


@pytest.fixture(params=["file", "memory", pytest.param("abfs", marks=pytest.mark.azurite)])
def open_at(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenAt]:
    """An empty root of each kind; it has a space, an accent and `=` in its name."""
    name = f"root é a=b {uuid.uuid4().hex}"
    if request.param == "file":
        yield lambda path: open_storage(f"file://{tmp_path / name}/{path}".rstrip("/"))
    elif request.param == "memory":
        yield lambda path: open_storage(f"memory://{name}/{path}".rstrip("/"))
    else:
        yield from _azurite(name)


@pytest.fixture
def storage(open_at: OpenAt) -> Storage:
    """The storage at the test's own root."""
    return open_at("")


def _azurite(name: str) -> Iterator[OpenAt]:
    connection_string = os.environ[AZURITE]
    from azure.storage.blob import BlobServiceClient

    container = f"contract-{uuid.uuid4().hex}"
    with BlobServiceClient.from_connection_string(connection_string) as client:
        client.create_container(container)
        url = f"abfs://{container}@{client.account_name}.dfs.core.windows.net/{name}"
        try:
            yield lambda path: open_storage(f"{url}/{path}".rstrip("/"), connection_string)
        finally:
            client.delete_container(container)
