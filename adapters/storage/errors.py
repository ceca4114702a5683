"""Errors of storage as those of trilane: the one place where they are translated."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

from scoring.errors import ConfigurationError, InputError, StorageUnavailable

Action = Literal["read", "written"]

_DENIED: Final = (errno.EACCES, errno.EPERM, errno.EROFS)
_HOPELESS: Final = (
    errno.EEXIST, errno.EFBIG, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG,
    errno.ENOTDIR, errno.ENOTEMPTY, errno.EOPNOTSUPP, errno.EXDEV,
)  # fmt: skip
_DENIED_STATUS: Final = (401, 403)
_PASSING_STATUS: Final = (408, 429)


class StorageRefused(StorageUnavailable):
    """The storage answered, and would say the same again for as long as nobody changes it."""


class Changed(Exception):
    """A file is not any more what it was when it was opened."""


@contextmanager
def translated(what: str, action: Action) -> Iterator[None]:
    """Raises InputError for a file that is missing or has changed, ConfigurationError where
    permission is denied, StorageRefused and StorageUnavailable. `what` is a URL without secrets.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{what} does not exist") from error
    except Changed as error:
        raise InputError(f"{what} changed while it was read") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        if error.errno in _DENIED:
            raise _denied(what, action, reason.lower()) from error
        kind = StorageRefused if error.errno in _HOPELESS else StorageUnavailable
        raise kind(f"{what}: {reason}") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("aiohttp", "azure"):
            raise
        status = getattr(error, "status_code", None)
        if status in _DENIED_STATUS:
            code = getattr(error, "error_code", None) or status
            code = getattr(code, "value", code)  # an enumeration's member, of the known ones
            raise _denied(what, action, f"permission denied ({code})") from error
        kind = StorageUnavailable if _passes(status) else StorageRefused
        raise kind(f"{what}: {type(error).__name__}") from error


def _denied(what: str, action: Action, reason: str) -> ConfigurationError:
    return ConfigurationError(f"{what} may not be {action}: {reason}")


def _passes(status: int | None) -> bool:
    return status is None or status >= 500 or status in _PASSING_STATUS
