"""A request as the routes that score see it, and what they answer: little between them and ASGI.

A framework's request and response objects cost more than scoring one record.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from starlette.types import Receive, Scope

from online_api.context import RequestContext

JSON = b"application/json"

WHOLE_KEY: Final = "trilane.whole"
"""Where the ASGI scope may hold a `SendWhole`."""

SendWhole = Callable[[int, bytes, bytes, bool], bool]
"""Sends status, head (lines of headers) and body as one, and says whether it did; if not, the
answer goes the usual way. With the fourth the connection is closed."""


@dataclass(slots=True)
class Call:
    """One request. `headers` have lower-case names; of a repeated one the last counts."""

    scope: Scope
    receive: Receive
    context: RequestContext
    headers: Mapping[bytes, bytes]
    params: Mapping[str, str] = field(default_factory=dict)

    def header(self, name: bytes) -> str | None:
        """A header's value."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and headers besides content-type and content-length."""

    body: bytes
    status: int = 200
    media_type: bytes = JSON
    headers: Sequence[tuple[bytes, bytes]] = ()


Handler = Callable[[Call], Awaitable[Answer]]
"""Raises ProblemError and TransientError."""
