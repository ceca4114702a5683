"""Where a Delta table lies, in the words of object_store, which `deltalake` reads and writes with.

URLs and secrets are those of the storage door; the options are object_store's (`AzureConfigKey`,
docs.rs/object_store) and its retries' (`RetryConfig`).
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from scoring.errors import ConfigurationError

_AZURE: Final = ("abfs", "abfss", "az")
_SCOPE: Final = "https://storage.azure.com/.default"
_PUBLIC: Final = "core.windows.net"
_UNFIT: Final = re.compile(r"[%\[\]|\\^]")
"""What delta-rs decodes twice, or takes for part of a host."""
_EMULATOR: Final = "AZURITE_BLOB_STORAGE_URL"
_MANY: Final = 1000
"""Retries: it is their time that is bounded."""


@dataclass(frozen=True, slots=True)
class DeltaPlace:
    """A table for people, `url`, and for object_store; the options hold secrets."""

    url: str
    uri: str
    options: dict[str, str] = field(repr=False)


def place_of(url: str, secret: str | None, retry_seconds: float) -> DeltaPlace:
    """The place of a URL of the storage door. Without connection string and SAS token a token of
    this process's identity is asked for, which may block; it lasts about an hour.

    Raises ConfigurationError, ServiceUnavailable.
    """
    scheme, separator, path = url.partition("://")
    if not separator:
        path, scheme = Path(url).absolute().as_posix(), "file"
    if scheme == "file":
        place = DeltaPlace(f"file://{path}", path, {})
    elif scheme in _AZURE:
        place = _azure_place(url, secret, retry_seconds)
    else:
        raise ConfigurationError(f"Delta tables lie in file: or abfs:, not in '{scheme}://…'")
    if found := _UNFIT.search(place.url.partition("://")[2]):
        raise ConfigurationError(f"{place.url}: the path of a Delta table cannot have {found[0]}")
    return place


def _azure_place(url: str, secret: str | None, retry_seconds: float) -> DeltaPlace:
    try:
        from adapters.storage.blob_service import blob_place
    except ImportError as error:
        raise ConfigurationError("Azure storage URLs need the extra 'azure'") from error
    place = blob_place(url)
    named = _parts(secret) if secret else {}
    endpoint = _endpoint(named) if secret else place.endpoint
    if endpoint is None:
        raise ConfigurationError(
            "an Azure URL without an account needs a storage connection string"
        )
    options = {
        **_service(endpoint, named.get("accountname")),
        "allow_http": str(endpoint.startswith("http:")).lower(),
        "max_retries": str(_MANY),
        "retry_timeout": f"{max(retry_seconds, 1):.0f}s",
    }
    if sas := place.sas or named.get("sharedaccesssignature"):
        options["sas_key"] = sas.lstrip("?")
    elif "accountkey" in named:
        options["account_key"] = named["accountkey"]
    else:
        options["bearer_token"] = _token()
    container, _, prefix = place.root.partition("/")
    return DeltaPlace(place.url, f"az://{container}/{quote(prefix)}", options)


def _parts(secret: str) -> dict[str, str]:
    """The settings in a connection string; their names count in any case."""
    pairs = (part.partition("=") for part in secret.split(";") if part)
    return {name.strip().lower(): value for name, _, value in pairs}


def _endpoint(named: dict[str, str]) -> str | None:
    if "blobendpoint" in named:
        return named["blobendpoint"].rstrip("/")
    if "accountname" not in named:
        return None
    scheme = named.get("defaultendpointsprotocol", "https")
    suffix = named.get("endpointsuffix", _PUBLIC)
    return f"{scheme}://{named['accountname']}.blob.{suffix}"


def _service(endpoint: str, account: str | None) -> dict[str, str]:
    """Account and address. An emulator has the account in the path; object_store must know that it
    is one, since emulators list from the beginning what is asked for from some name on, and finds
    it by the environment only.
    """
    parts = urlsplit(endpoint)
    in_path = parts.path.strip("/")
    if in_path and parts.scheme == "http":
        os.environ[_EMULATOR] = f"{parts.scheme}://{parts.netloc}"
        return {"account_name": account or in_path, "use_emulator": "true"}
    host = parts.hostname or ""
    return {"account_name": account or host.partition(".")[0], "endpoint": endpoint}


def _token() -> str:
    from azure.core.exceptions import AzureError

    from adapters.identity import blocking_azure_credential
    from scoring.errors import ServiceUnavailable

    credential = blocking_azure_credential()
    try:
        return str(credential.get_token(_SCOPE).token)
    except (AzureError, OSError) as error:
        raise ServiceUnavailable("Entra ID gave no token for the storage") from error
