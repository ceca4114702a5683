"""The storage of an input, and what of its URL is a pattern."""

from adapters.storage import Storage, open_storage
from batch_scorer.inputs.globs import split_glob
from scoring.errors import ConfigurationError

_AZURE = ("abfs", "abfss", "az")


def open_input(
    url: str, secret: str | None = None, retry_seconds: float = 0.0
) -> tuple[Storage, str | None]:
    """The storage of an input, and the pattern that its files' paths match, if it is a glob.

    Asks the storage whether there is something of exactly that name when it has a wildcard. Raises
    ConfigurationError, StorageUnavailable.
    """
    plain, token = split_token(url)
    globbed = split_glob(plain)
    storage = open_storage(url, secret, retry_seconds)
    if globbed is None or storage.exists(""):
        return storage, None
    base, pattern = globbed
    return open_storage(base + token, secret, retry_seconds), pattern


def split_token(url: str) -> tuple[str, str]:
    """A URL without its SAS token, and that token with its question mark, or ""."""
    if url.partition("://")[0] not in _AZURE:
        return url, ""
    try:
        from adapters.storage.blob_service import blob_place
    except ImportError as error:
        raise ConfigurationError("Azure storage URLs need the extra 'azure'") from error
    place = blob_place(url)
    return place.url, f"?{place.sas}" if place.sas else ""
