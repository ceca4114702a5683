"""API keys: which callers have one, as the file says now."""

import hmac
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from online_api.access.caller import Caller
from online_api.access.key_file import hash_of, read_api_keys
from scoring.errors import ConfigurationError

CHECK_SECONDS: Final = 2.0
"""How often the file is looked at, at most: a key is valid or gone this long after a change."""

logger = logging.getLogger(__name__)

_Stamp = tuple[int, int, int]


class ApiKeys:
    """The keys of a file that may change while the server runs.

    A file that became invalid, or went away, changes nothing: the last good keys go on, and one
    line at ERROR says so. To withdraw every key, write a file without keys.
    """

    def __init__(self, path: Path, timer: Callable[[], float]) -> None:
        """Raises ConfigurationError: without good keys at the start there is no server."""
        self._path = path
        self._timer = timer
        self._checked_at = timer()
        self._read_at: _Stamp | None = _stamp(path)
        self._complaint: str | None = None
        self._callers = _read(path)

    def find(self, key: bytes) -> Caller | None:
        """Whose key it is. Every hash is compared, in constant time each, whichever fits.

        Once in two seconds it asks the file system whether the file changed.
        """
        if self._timer() - self._checked_at >= CHECK_SECONDS:
            self._checked_at = self._timer()
            self._follow()
        presented, found = hash_of(key), None
        for stored, caller in self._callers:
            if hmac.compare_digest(stored, presented):
                found = caller
        return found

    def _follow(self) -> None:
        stamp = _stamp(self._path)
        if stamp is not None and stamp == self._read_at:
            self._complaint = None
            return
        try:
            self._callers = _read(self._path)
        except ConfigurationError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                logger.error(
                    "API keys are not followed any more, the last good ones go on: %s",
                    error,
                    extra={"event": "api_keys_invalid"},
                )
            return
        # Taken before reading: a change in between is seen the next time.
        self._read_at, self._complaint = stamp, None
        logger.info(
            "%d API keys read",
            len(self._callers),
            extra={"event": "api_keys_read", "keys": len(self._callers)},
        )


def _read(path: Path) -> list[tuple[bytes, Caller]]:
    return [
        (bytes.fromhex(key.sha256), Caller(key.name, frozenset(key.roles)))
        for key in read_api_keys(path)
    ]


def _stamp(path: Path) -> _Stamp | None:
    """Changes when the file does, also when it is exchanged through a symbolic link."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
