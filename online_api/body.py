"""The body of a request: what it may be, and all of it within its limits."""

import asyncio
import contextlib
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from online_api.call import Call
from online_api.context import Limits, Load
from online_api.problems import BODY_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, ProblemError

LINGER_BYTES: Final = 32 * 1024 * 1024
"""How much of a body that is too large is read and thrown away before the answer."""

_LINGER_SECONDS: Final = 5.0


def require_json(call: Call) -> None:
    """Refuse a body that says it is something else. Raises ProblemError."""
    kind = call.headers.get(b"content-type")
    if kind is not None and kind != b"application/json" and not is_json(media_type(kind)):
        raise ProblemError(UNSUPPORTED_MEDIA_TYPE, "send Content-Type: application/json")
    require_plain(call)


def require_plain(call: Call) -> None:
    """Refuse a compressed body. Raises ProblemError."""
    if call.headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise ProblemError(UNSUPPORTED_MEDIA_TYPE, "send the body without Content-Encoding")


def media_type(header: bytes) -> str:
    """The type without its parameters, in lower case."""
    return header.partition(b";")[0].strip().lower().decode("latin-1")


def is_json(name: str) -> bool:
    """Whether a media type is JSON."""
    return name == "application/json" or (
        name.startswith("application/") and name.endswith("+json")
    )


class BodyReader:
    """Reads bodies: bounded in size here, in time by the connection."""

    def __init__(self, limits: Limits, load: Load) -> None:
        self._limits = limits
        self._load = load

    async def read(self, call: Call) -> bytes:
        """The body, of which no more than the limit is ever held.

        Raises ProblemError, and ClientDisconnect when the caller goes away.
        """
        with self._load:
            return await self._read(call)

    async def _read(self, call: Call) -> bytes:
        limit = self._limits.max_body_bytes
        announced = call.headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced[:20]) > limit:
            await _discard(call.receive)
            raise _too_large(limit)
        message = await _message(call.receive)
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False) and len(body) <= limit:
            return body
        return await self._rest(call, body, message.get("more_body", False))

    async def _rest(self, call: Call, first: bytes, more: bool) -> bytes:
        chunks, size = [first], len(first)
        while True:
            if size > self._limits.max_body_bytes:
                chunks.clear()
                if more:
                    await _discard(call.receive)
                raise _too_large(self._limits.max_body_bytes)
            if not more:
                return b"".join(chunks)
            message = await _message(call.receive)
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            more = message.get("more_body", False)


async def _message(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message


async def _discard(receive: Receive) -> None:
    """Read on for a while and keep nothing.

    A caller that is still sending when the connection closes sees a reset and not the answer.
    """
    left = LINGER_BYTES
    with contextlib.suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(_LINGER_SECONDS):
            more = True
            while more and left > 0:
                message = await _message(receive)
                left -= len(message.get("body", b""))
                more = message.get("more_body", False)


def _too_large(limit: int) -> ProblemError:
    return ProblemError(BODY_TOO_LARGE, f"send at most {limit} bytes")
