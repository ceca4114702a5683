"""Errors of the package as those of trilane."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from scoring.errors import (
    ConfigurationError,
    InputError,
    StorageUnavailable,
    TransientError,
    TrilaneError,
)

_MISSING: Final = "Delta tables need the extra 'delta'"
_DENIED: Final = re.compile(
    r"lacked (the necessary privileges|valid authentication)|40[13] (Forbidden|Unauthorized)"
)
_MISSING_CONTAINER: Final = re.compile(r"<Code>ContainerNotFound</Code>")
_STORAGE: Final = re.compile(r"Generic (LocalFileSystem|MicrosoftAzure\w*) error")
_UNSUPPORTED: Final = re.compile(r"Feature '\w+' is not supported")


@contextmanager
def translated(shown: str) -> Iterator[None]:
    """Errors of the package as ours, about `shown`, a URL without secrets.

    Their texts are not repeated: they may hold a URL with its SAS token, or a value of a record.
    """
    try:
        from deltalake import exceptions as known
    except ImportError as error:
        raise ConfigurationError(_MISSING) from error
    try:
        yield
    except known.TableNotFoundError as error:
        raise InputError(f"{shown} is no Delta table") from error
    except known.CommitFailedError as error:
        raise TransientError(f"{shown}: another writer changed the table meanwhile") from error
    except (known.DeltaError, OSError) as error:
        raise _sorted(error, shown) from error


def _sorted(error: Exception, shown: str) -> TrilaneError:
    """The package raises either class for what the storage did, depending on who asked it."""
    text = str(error)
    if _DENIED.search(text):
        return ConfigurationError(f"{shown} may not be read or written: permission denied")
    if _MISSING_CONTAINER.search(text):
        return InputError(f"{shown} does not exist, nor does its container")
    if isinstance(error, OSError) or _STORAGE.search(text):
        return StorageUnavailable(f"{shown}: the storage did not answer")
    unsupported = _UNSUPPORTED.search(text)
    reason = "" if unsupported is None else f": {unsupported[0]}"
    return InputError(f"{shown} cannot be used as a Delta table{reason}")
