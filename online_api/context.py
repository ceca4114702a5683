"""What accompanies a request, and what the outside world is to this app: time and ids."""

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Final

from scoring.records import ModelVersion, ScoredBatch

LATE_BODY: Final = "the body is late"
LATE_ANSWER: Final = "the answer is late"
"""Why the task of a request is cancelled; without these the server is stopping."""

SCOPE_KEY: Final = "trilane.request"
"""Where the ASGI scope holds the `RequestContext`."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a scoring request brought and got: scored plus rejected is `records`.

    Its scores are those of `batch` from `start` on; others may have shared the call.
    """

    records: int
    rejected: int
    batch: ScoredBatch
    version: ModelVersion
    start: int = 0

    @property
    def scored(self) -> ScoredBatch:
        """The scores of this request's own records."""
        return self.batch.slice(self.start, self.start + self.records - self.rejected)


class Load:
    """Requests of this process that only wait: for the rest of a body, for the scoring thread.

    They cost no time of the event loop, so they do not count as worked on. A context manager
    around whatever a request waits for; may be entered many times at once.
    """

    def __init__(self) -> None:
        self.waiting = 0
        self.is_full: Callable[[], bool] = lambda: False
        """Whether the default model would refuse the next request."""

    def __enter__(self) -> None:
        self.waiting += 1

    def __exit__(self, *_: object) -> None:
        self.waiting -= 1


@dataclass(slots=True)
class RequestContext:
    """One request: its id, whether the caller gave it, and what its log line will say about it.

    `route` is the template of the path, as a path that matched none is the caller's own text.
    `after` is done when the answer has left.
    """

    request_id: str
    received_at: datetime
    named_by_caller: bool = False
    route: str = "unmatched"
    caller: str | None = None
    exchange: Exchange | None = None
    after: list[Callable[[], Awaitable[None]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a request may be, how long it may take, and how many may be worked on.

    A body that is not whole after `body_seconds` is refused, and so is a request without an answer
    after `deadline_seconds`. Beyond `max_in_flight` requests being worked on new ones are refused.
    For a model that takes one call at a time: a call has at most `micro_batch_records`, unless one
    request alone has more; at most `max_waiting` requests wait for it, each no longer than
    `max_wait_seconds`.
    """

    max_body_bytes: int = 4_194_304
    max_records: int = 10_000
    body_seconds: float = 10.0
    deadline_seconds: float = 30.0
    max_in_flight: int = 128
    micro_batch_records: int = 256
    max_waiting: int = 256
    max_wait_seconds: float = 5.0


DEFAULT_LIMITS: Final = Limits()


# The ids of a process differ by a number: random bytes for each would cost a call of the kernel.
_PREFIX: Final = secrets.token_hex(10)
_NUMBERS: Final = count(1)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _random_id() -> str:
    return f"{_PREFIX}{next(_NUMBERS):012x}"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where time and ids come from; `timer` counts seconds from anywhere."""

    now: Callable[[], datetime] = _utc_now
    new_id: Callable[[], str] = _random_id
    timer: Callable[[], float] = time.perf_counter

    def record_id_base(self, context: "RequestContext") -> str:
        """What the ids begin with that records without one get: callers may repeat theirs."""
        return self.new_id() if context.named_by_caller else context.request_id


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
    def draining(self) -> bool:
        """Whether callers should go elsewhere with their next request."""
        return self._draining

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
