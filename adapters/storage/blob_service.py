"""Connecting to Azure Blob Storage: endpoint, credential and patience."""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from adlfs import AzureBlobFileSystem
from azure.core.credentials import AzureSasCredential
from azure.storage.blob.aio import BlobServiceClient

from adapters.identity import azure_credential
from scoring.errors import ConfigurationError

_QUICK: Final[dict[str, Any]] = {  # its own first pause is 15 seconds
    "retry_total": 2,
    "initial_backoff": 0.2,
    "increment_base": 1,
    "random_jitter_range": 0.1,
    "connection_timeout": 10,
}
_SAS: Final = re.compile(r"\?(?=[^?]*\bsv=)(?=[^?]*\bsig=)[^?]*$")
_ACCOUNT: Final = re.compile(r"(?P<account>[a-z0-9-]+)\.(dfs|blob)\.(?P<rest>[a-z0-9.-]+)")


@dataclass(frozen=True, slots=True)
class BlobPlace:
    """Where a URL leads: `root` is container and prefix, `url` the same without the secret."""

    url: str
    root: str
    endpoint: str | None
    sas: str | None = field(repr=False)


def blob_place(url: str) -> BlobPlace:
    """Reads `abfs://container@account.dfs.core.windows.net/prefix?sv=…&sig=…`, of which account
    and SAS token may be missing. A question mark without a token is one of the prefix.
    """
    token = _SAS.search(url)
    sas = token[0][1:] if token else None
    url = url[: token.start()] if token else url
    authority, _, prefix = url.partition("://")[2].partition("/")
    container, _, host = authority.rpartition("@")
    found = _ACCOUNT.fullmatch(host)
    if not container and _ACCOUNT.fullmatch(authority) is None:
        container = authority
    if not container or (host != authority and found is None):
        raise ConfigurationError("an Azure URL is abfs://container@account.dfs.core.windows.net/…")
    endpoint = f"https://{found['account']}.blob.{found['rest']}" if found else None
    return BlobPlace(url, f"{container}/{prefix}".rstrip("/"), endpoint, sas)


class BlobFileSystem(AzureBlobFileSystem):  # type: ignore[misc]
    """adlfs with a connection of our own; fsspec keeps one per set of arguments and process."""

    def __init__(
        self,
        endpoint: str | None,
        connection_string: str | None,
        sas: str | None,
        quick: bool,
    ) -> None:
        """With `quick` the SDK leaves it to the door to wait for long. Raises ConfigurationError,
        whose text repeats nothing of what is malformed.
        """
        self._endpoint = endpoint
        self._secrets = connection_string, sas
        self._options = _QUICK if quick else {}
        super().__init__(anon=True, use_listings_cache=False)

    def do_connect(self) -> None:
        """Called by adlfs; nothing is sent yet."""
        connection_string, sas = self._secrets
        signed = AzureSasCredential(sas) if sas else None
        try:
            if connection_string:
                self.service_client = BlobServiceClient.from_connection_string(
                    connection_string, credential=signed, **self._options
                )
                return
            if self._endpoint is None:
                raise ConfigurationError(
                    "an Azure URL without an account needs a storage connection string"
                )
            if signed is None:
                self.credential = azure_credential()
            self.service_client = BlobServiceClient(
                self._endpoint, signed or self.credential, **self._options
            )
        except ValueError:
            text = "the storage connection string or URL is malformed"
            raise ConfigurationError(text) from None
