"""Where an Azure URL leads, and what of it is secret."""

import pytest

from adapters.storage import open_storage
from adapters.storage.blob_service import blob_place
from scoring.errors import ConfigurationError

TOKEN = "sv=2024-11-04&sp=rl&sr=c&sig=abc%2Bdef%3D"


@pytest.mark.parametrize(
    ("url", "root", "endpoint"),
    [
        ("abfs://c@acc.dfs.core.windows.net/a/b", "c/a/b", "https://acc.blob.core.windows.net"),
        ("abfss://c@acc.dfs.core.windows.net", "c", "https://acc.blob.core.windows.net"),
        ("az://c@acc.blob.core.windows.net/a", "c/a", "https://acc.blob.core.windows.net"),
        ("abfs://c@acc.dfs.core.usgovcloudapi.net/a/", "c/a", "https://acc.blob.core.usgovcloudapi.net"),
        ("abfs://c/a b/é#%20?x", "c/a b/é#%20?x", None),
    ],
)  # fmt: skip
def test_container_prefix_and_account(url: str, root: str, endpoint: str | None) -> None:
    """All characters of the prefix stand for themselves."""
    place = blob_place(url)
    assert (place.url, place.root, place.endpoint, place.sas) == (url, root, endpoint, None)


def test_a_token_is_cut_off() -> None:
    """URL and root are without it, and so is what is printed."""
    place = blob_place(f"abfs://c@acc.dfs.core.windows.net/a?b?{TOKEN}")
    assert (place.url, place.root) == ("abfs://c@acc.dfs.core.windows.net/a?b", "c/a?b")
    assert place.sas == TOKEN
    assert "sig=" not in repr(place)


@pytest.mark.parametrize(
    "url", ["abfs://", "abfs:///a", "abfs://acc.dfs.core.windows.net/a", "abfs://c@host/a"]
)
def test_other_forms_are_refused(url: str) -> None:
    """Without a container or with a host that is no account of Azure's."""
    with pytest.raises(ConfigurationError, match="abfs://container@account"):
        open_storage(f"{url}?{TOKEN}")


def test_without_an_account_a_connection_string_is_needed() -> None:
    """And asked for before anything is sent."""
    with pytest.raises(ConfigurationError, match="needs a storage connection string"):
        open_storage("abfs://container/a")
