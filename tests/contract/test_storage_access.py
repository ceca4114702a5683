"""Who may use Azure Blob Storage, and that nobody is told the secrets."""

import os
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.utils import parse_connection_string
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from adapters.storage import open_storage
from scoring.errors import ConfigurationError, InputError
from tests.contract.conftest import AZURITE

pytestmark = pytest.mark.azurite

EVERYTHING = "racwdl"
READING = "rl"


def token(container: str, permission: str, minutes: int = 5) -> str:
    """A SAS token for the container of a URL."""
    settings = parse_connection_string(os.environ[AZURITE])
    return generate_container_sas(
        settings["accountname"],
        container.removeprefix("abfs://").partition("@")[0],
        settings["accountkey"],
        permission=ContainerSasPermissions.from_string(permission),
        expiry=datetime.now(UTC) + timedelta(minutes=minutes),
    )


def endpoint() -> str:
    """What a connection string without a secret has."""
    return f"BlobEndpoint={parse_connection_string(os.environ[AZURITE])['blobendpoint']}"


def test_a_token_in_the_connection_string(container: str) -> None:
    """Everything works with it that works with a key."""
    sas = token(container, EVERYTHING)
    storage = open_storage(container, f"{endpoint()};SharedAccessSignature={sas}")
    storage.write("a", b"1")
    assert storage.write_new("b", b"2")
    assert not storage.write_new("b", b"2")
    with storage.lease("lease") as lease:
        lease.check()
    assert [i.path for i in storage.list()] == ["a", "b"]
    with storage.open("a") as file:
        assert file.read() == b"1"
    storage.delete("a")
    assert not storage.exists("a")


def test_a_token_in_the_url(container: str) -> None:
    """It is used, comes before the key of the connection string, and is shown nowhere."""
    sas = token(container, READING)
    open_storage(container, os.environ[AZURITE]).write("in/a", b"1")
    for connection_string in (endpoint(), os.environ[AZURITE]):
        storage = open_storage(f"{container}/in?{sas}", connection_string)
        assert [i.path for i in storage.list()] == ["a"]
        assert storage.read("a") == b"1"
        assert (storage.url, storage.url_of("a")) == (f"{container}/in", f"{container}/in/a")
        with pytest.raises(ConfigurationError) as denied:
            storage.write("b", b"1")
        with pytest.raises(InputError) as missing:
            storage.read("b")
        for shown in (str(denied.value), str(missing.value), repr(storage)):
            assert "sig=" not in shown


def test_a_token_that_may_only_read(container: str) -> None:
    """Writing is refused for good, and the text names URL and reason."""
    sas = token(container, READING)
    text = f"{container}/a may not be written: permission denied .Authorization"
    storage = open_storage(container, f"{endpoint()};SharedAccessSignature={sas}", 60)
    with pytest.raises(ConfigurationError, match=text):
        storage.write("a", b"1")
    with pytest.raises(ConfigurationError, match=text):
        storage.write_new("a", b"1")
    with pytest.raises(ConfigurationError, match=text.replace("/a", "/lease")):
        storage.lease("lease").acquire()


@pytest.mark.parametrize("how", ["expired", "wrong key", "none"])
def test_without_access_reading_is_refused_for_good(container: str, how: str) -> None:
    """A token that is over, a key of another account, no secret at all."""
    secret = {
        "expired": f"{endpoint()};SharedAccessSignature={token(container, READING, -5)}",
        "wrong key": os.environ[AZURITE].replace("AccountKey=", "AccountKey=AAAA"),
        "none": endpoint(),
    }[how]
    storage = open_storage(container, secret, 60)
    text = "may not be read: permission denied|does not exist"
    for read in (storage.read, storage.open, storage.list, storage.exists):
        with pytest.raises(ConfigurationError, match=text) as refused:
            read("a")
        assert "AccountKey" not in str(refused.value)
