"""The storages and event hubs that every contract about them is run on."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.event_hub.kafka_connection import KafkaConnection
from adapters.storage import Storage, open_storage
from local_stack.broker import run_broker
from tests.contract.amqp_hubs import amqp_namespace
from tests.contract.event_hubs import SESSION_SECONDS, KafkaNamespace, MemoryNamespace, Namespace
from tests.support.kafka.server import KafkaServer

AZURITE = "TRILANE_TEST_AZURITE_CONNECTION_STRING"
"""Names a running Azurite (or a test account); the Azure cases fail without it."""


OpenAt = Callable[[str], Storage]
"""Opens the storage at a path below the test's own root; a new door at every call."""

on_disk_and_azure = pytest.mark.parametrize(
    "open_at", ["file", pytest.param("abfs", marks=pytest.mark.azurite)], indirect=True
)
"""Marks a test about several processes, which memory cannot be shared by."""


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
    with azure_container(connection_string) as container:
        url = f"{container}/{name}"
        yield lambda path: open_storage(f"{url}/{path}".rstrip("/"), connection_string)


@pytest.fixture
def container() -> Iterator[str]:
    """The URL of an empty container in Azurite."""
    with azure_container(os.environ[AZURITE]) as url:
        yield url


@contextmanager
def azure_container(connection_string: str) -> Iterator[str]:
    """The URL of a new container, which is removed in the end."""
    from azure.storage.blob import BlobServiceClient

    container = f"contract-{uuid.uuid4().hex}"
    with BlobServiceClient.from_connection_string(connection_string) as client:
        client.create_container(container)
        try:
            yield f"abfs://{container}@{client.account_name}.dfs.core.windows.net"
        finally:
            client.delete_container(container)


@pytest.fixture(
    scope="session",
    params=[
        "memory",
        "tansu",
        pytest.param("kafka", marks=pytest.mark.kafka),
        pytest.param("kafka with TLS and SASL", marks=pytest.mark.kafka),
        pytest.param("amqp", marks=pytest.mark.azurite),
    ],
)
def namespace(request: pytest.FixtureRequest) -> Namespace:
    """Event hubs of each kind."""
    if request.param == "memory":
        return MemoryNamespace()
    name = "kafka_secure" if "SASL" in request.param else request.param
    found: Namespace = request.getfixturevalue(name)
    return found


@pytest.fixture(scope="session")
def tansu() -> Iterator[Namespace]:
    """A small broker in memory."""
    with run_broker(["first"]) as address:
        yield KafkaNamespace(KafkaConnection(address, session_seconds=SESSION_SECONDS), address)


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """Apache Kafka."""
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture(scope="session")
def kafka(kafka_server: KafkaServer) -> Namespace:
    """Without signing in."""
    address = kafka_server.bootstrap
    return KafkaNamespace(KafkaConnection(address, session_seconds=SESSION_SECONDS), address)


@pytest.fixture(scope="session")
def kafka_secure(kafka_server: KafkaServer) -> Iterator[Namespace]:
    """Signing in as with Event Hubs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(kafka_server.ca_file))
        connection = KafkaConnection(
            kafka_server.secure_bootstrap,
            kafka_server.connection_string,
            session_seconds=SESSION_SECONDS,
        )
        yield KafkaNamespace(connection, kafka_server.bootstrap)


@pytest.fixture(scope="session")
def amqp() -> Iterator[Namespace]:
    """The stand-in for Event Hubs, with checkpoints in Azurite."""
    assert AZURITE in os.environ, "make test-integration runs Azurite and names it"
    with amqp_namespace(os.environ[AZURITE]) as found:
        yield found
