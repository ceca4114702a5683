"""What accompanies a request, and what the outside world is to this app: time and ids."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

SCOPE_KEY: Final = "trilane.request"
"""Where the ASGI scope holds the `RequestContext`."""


@dataclass(slots=True)
class RequestContext:
    """One request: its id, and what its log line will say about it."""

    request_id: str
    records: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a request may be, and how requests share a model that takes one call at a time.

    A call has at most `micro_batch_records`, unless one request alone has more. A request whose
    call has not begun after `max_wait_seconds` is refused.
    """

    max_body_bytes: int = 4_194_304
    max_records: int = 10_000
    micro_batch_records: int = 256
    max_wait_seconds: float = 5.0


DEFAULT_LIMITS: Final = Limits()


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _random_id() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Sources:
    """Where time and ids come from; `timer` counts seconds from anywhere."""

    now: Callable[[], datetime] = _utc_now
    new_id: Callable[[], str] = _random_id
    timer: Callable[[], float] = time.perf_counter


class Readiness:
    """Where the app stands: starting, ready, draining, stopped."""

    def __init__(self) -> None:
        self._accepting = False
        self._draining = False

    @property
    def accepting(self) -> bool:
        """Whether a request that arrives is answered; true while draining."""
        return self._accepting

    @property
    def ready(self) -> bool:
        """Whether new requests should be sent here."""
        return self._accepting and not self._draining

    def start(self) -> None:
        """The model is loaded and the log is open."""
        self._accepting = True

    def drain(self) -> None:
        """The process was told to stop; requests that still arrive are answered."""
        self._draining = True

    def stop(self) -> None:
        """Nothing is answered any more."""
        self._accepting = False
