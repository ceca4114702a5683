"""What the connections of one process share: their limits, who was turned away, and refusals."""

import asyncio
import fcntl
import sys
import termios
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from online_api.context import Load, Sources
from online_api.problems import OVERLOADED, Kind, ProblemError, problem_response

MAX_HEADER_BYTES: Final = 32 * 1024
MAX_HEADERS: Final = 100
HEADERS_RULE: Final = (
    f"send at most {MAX_HEADERS} headers, and {MAX_HEADER_BYTES} bytes of them and the target"
)

MAX_PIPELINED: Final = 64
"""Requests of one connection that wait for the answer before theirs."""

REST_SECONDS: Final = 0.1
"""How long a connection is not read whose request was refused because there are too many. The
refusal asks for a second."""

LEAVE_SECONDS: Final = 2.0
"""How long a refused peer has to read its answer."""

MAX_TURNED_AWAY: Final = 256
"""Connections beyond the limit that are being answered; beyond this too, they are only closed."""

READ_BYTES: Final = 64 * 1024
"""A peer that takes fewer bytes of its answer than this in `body_seconds` does not read it."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How long a connection may take, and how many there may be, of one process.

    `header_seconds`: from the connection, or the first byte of a later request, to the end of its
    headers. `body_seconds`: from there to the whole body, and for a part of the answer to be read.
    `deadline_seconds`: to the answer. `idle_seconds`: between requests. `max_in_flight` requests
    may be worked on, of those on `max_connections` connections.
    """

    header_seconds: float = 10.0
    body_seconds: float = 10.0
    idle_seconds: float = 75.0
    max_connections: int = 2048
    deadline_seconds: float = 30.0
    max_in_flight: int = 128

    @property
    def look_seconds(self) -> float:
        """How often a connection is looked at: what is late ends at most a quarter later."""
        shortest = (self.header_seconds, self.body_seconds, self.idle_seconds)
        return min(*shortest, self.deadline_seconds) / 4


def _ignore(_: str) -> None: ...


@dataclass(slots=True)
class House:
    """`shed` is told the reason of each connection or request that is refused here."""

    limits: ConnectionLimits
    shed: Callable[[str], None] = _ignore
    load: Load = field(default_factory=Load)
    draining: Callable[[], bool] = lambda: False
    new_id: Callable[[], str] = field(default_factory=lambda: Sources().new_id)
    turned_away: set[Any] = field(default_factory=set)


def kernel_unsent(transport: asyncio.Transport) -> int:
    """Bytes that the kernel keeps because the peer has not taken them (SIOCOUTQ in tcp(7)).

    It takes new ones only when a third of its buffer is free, which may be a megabyte.
    """
    count = bytearray(4)
    try:
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, count)
    except OSError:  # gone, or a system without it
        return 0
    return int.from_bytes(count, sys.byteorder)


UNSHED: Final = frozenset(
    {"/livez", "/readyz", "/metrics", "/ping", "/health", "/v2/health/live", "/v2/health/ready"}
)
"""Paths that are answered however many requests are worked on."""

OF_THE_DEFAULT: Final = frozenset({"/predict", "/invocations"})
"""Paths that ask the default model for scores."""

_MARK: Final = "\0"


def busy(
    request_id: str, headers: Iterable[tuple[bytes, bytes]] = (), close: bool = False
) -> bytes:
    """The answer to a request beyond `max_in_flight`; the connection lives on unless `close`."""
    rest = _busy(len(request_id)).replace(_MARK.encode() * len(request_id), request_id.encode())
    more = [*headers, (b"connection", b"close")] if close else headers
    lines = [b"%b: %b\r\n" % header for header in more]
    return b"".join([STATUS_LINE[OVERLOADED.status], *lines, rest])


@lru_cache(8)
def _busy(length: int) -> bytes:
    problem = ProblemError(OVERLOADED, "too many requests are worked on")
    mark = _MARK * length
    response = problem_response(problem, mark)
    body = bytes(response.body).replace(b"\\u0000" * length, mark.encode())
    headers = {**dict(response.raw_headers), b"content-length": b"%d" % len(body)}
    headers[b"x-request-id"] = mark.encode()
    lines = [b"%b: %b\r\n" % header for header in headers.items()]
    return b"".join([*lines, b"\r\n", body])


def refusal(
    kind: Kind, detail: str, request_id: str, headers: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """A whole answer on the wire, after which the connection closes."""
    response = problem_response(ProblemError(kind, detail), request_id)
    lines = [
        b"%b: %b\r\n" % header
        for header in (
            *headers,
            *response.raw_headers,
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
        )
    ]
    return b"".join([STATUS_LINE[kind.status], *lines, b"\r\n", bytes(response.body)])
