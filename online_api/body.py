"""From an HTTP body to records: bounded, decoded once, and refused with a reason."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request

from online_api.context import Limits
from online_api.problems import (
    BODY_TOO_LARGE,
    MALFORMED,
    MAX_NAME_CHARACTERS,
    NO_RECORDS,
    TOO_MANY_RECORDS,
    UNSUPPORTED_MEDIA_TYPE,
    ProblemError,
)
from scoring.json_text import NotJsonError, decode_json

LINGER_BYTES: Final = 32 * 1024 * 1024
"""How much of a body that is too large is read and thrown away before the answer."""

_LINGER_SECONDS: Final = 5.0

_MEMBERS: Final = frozenset({"records", "event_time"})
_EVENT_TIME_RULE: Final = (
    "event_time must be an ISO 8601 date-time with a zone, between the years 1970 and 2261"
)


@dataclass(frozen=True, slots=True)
class Records:
    """What a body holds: rows as decoded, anything but NaN, and when their facts were true."""

    rows: Sequence[Any]
    event_time: datetime | None


def require_json(request: Request) -> None:
    """Refuse a body that says it is something else. Raises ProblemError."""
    kind = request.headers.get("content-type")
    if kind is not None:
        name = kind.partition(";")[0].strip().lower()
        is_json = name == "application/json" or (
            name.startswith("application/") and name.endswith("+json")
        )
        if not is_json:
            raise ProblemError(UNSUPPORTED_MEDIA_TYPE, "send Content-Type: application/json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ProblemError(UNSUPPORTED_MEDIA_TYPE, "send the body without Content-Encoding")


async def read_body(request: Request, limits: Limits) -> bytes:
    """The body, of which no more than the limit is ever held.

    Raises ProblemError, and ClientDisconnect when the caller goes away.
    """
    stream = request.stream()
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limits.max_body_bytes:
        await _discard(stream)
        raise _too_large(limits)
    chunks: list[bytes] = []
    size = 0
    async for chunk in stream:
        size += len(chunk)
        if size > limits.max_body_bytes:
            chunks.clear()
            await _discard(stream)
            raise _too_large(limits)
        chunks.append(chunk)
    return b"".join(chunks)


async def _discard(stream: AsyncIterator[bytes]) -> None:
    """Read on for a while and keep nothing.

    A caller that is still sending when the connection closes sees a reset and not the answer.
    """
    left = LINGER_BYTES
    with contextlib.suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(_LINGER_SECONDS):
            async for chunk in stream:
                left -= len(chunk)
                if left <= 0:
                    return


def parse_records(body: bytes, limits: Limits) -> Records:
    """The records of a body: an array, or an object with `records` and perhaps `event_time`.

    Raises ProblemError.
    """
    document = _decoded(body)
    event_time = None
    rows = document
    if isinstance(document, dict) and "records" in document:
        rows = document["records"]
        for name in sorted(document.keys() - _MEMBERS):
            raise _malformed(f"the body has an unknown member '{name[:MAX_NAME_CHARACTERS]}'")
        if "event_time" in document:
            event_time = _event_time(document["event_time"])
    if not isinstance(rows, list):
        raise _malformed(
            "the body must be an array of records or an object with an array 'records'"
        )
    if not rows:
        raise ProblemError(NO_RECORDS, "send at least one record")
    if len(rows) > limits.max_records:
        raise ProblemError(TOO_MANY_RECORDS, f"send at most {limits.max_records} records")
    return Records(rows, event_time)


def _decoded(body: bytes) -> Any:
    try:
        return decode_json(body)
    except NotJsonError as error:
        raise _malformed(f"the body {error}") from None


def _event_time(value: Any) -> datetime:
    if not isinstance(value, str):
        raise _malformed(_EVENT_TIME_RULE)
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise _malformed(_EVENT_TIME_RULE) from None
    if time.tzinfo is None or not 1970 <= time.year <= 2261:
        raise _malformed(_EVENT_TIME_RULE)
    return time.astimezone(UTC)


def _too_large(limits: Limits) -> ProblemError:
    return ProblemError(BODY_TOO_LARGE, f"send at most {limits.max_body_bytes} bytes")


def _malformed(detail: str) -> ProblemError:
    return ProblemError(MALFORMED, detail)
