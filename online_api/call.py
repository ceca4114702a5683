"""A request as the routes that score see it, and what they answer: little between them and ASGI.

A framework's request and response objects cost more than scoring one record.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from starlette.types import Receive, Scope

from online_api.context import RequestContext

JSON = b"application/json"


@dataclass(slots=True)
class Call:
    """One request. `headers` have lower-case names; of a repeated one the last counts."""

    scope: Scope
    receive: Receive
    context: RequestContext
    headers: Mapping[bytes, bytes]
    patience: asyncio.Timeout
    """Runs out when the body is not there in time; then, set anew, when the answer is not."""
    params: Mapping[str, str] = field(default_factory=dict)
    has_body: bool = False

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
