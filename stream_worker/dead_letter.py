"""Dead letters: what becomes of an event that was not scored."""

import base64
from datetime import UTC, datetime
from typing import Any, Final

from adapters.event_hub.cloudevents import STRUCTURED_HEADERS, encode
from adapters.event_hub.messages import Outgoing, Received
from scoring.identifiers import derived_id
from scoring.records import ModelVersion, Rejection
from stream_worker.cloudevents import Event

TYPE: Final = "trilane.rejection.v1"
MAX_DETAIL_CHARACTERS: Final = 2000

_MAX_KEY_BYTES: Final = 1024
_NO_ORIGINAL: Final = dict.fromkeys(
    ("original", "original_headers", "original_key", "original_time")
)


def origin(received: Received, event: Event | None) -> tuple[str, ...]:
    """What identifies an event: its source and id, or its place when it could not be decoded."""
    if event is None:
        return received.hub, str(received.partition), str(received.offset)
    return event.source, event.id


def dead_letter(
    hub: str,
    received: Received,
    event: Event | None,
    rejection: Rejection,
    model: ModelVersion,
    attempt: int,
    now: datetime,
    max_bytes: int,
) -> Outgoing:
    """The dead letter for one rejection; its id is the same each time.

    Carries the original value, headers and key in base64, and the hub's timestamp, as long as the
    whole stays within `max_bytes`; else all four are null. Keyed by the record id, or by the
    original key where there is none.
    """
    data: dict[str, Any] = {
        "code": str(rejection.code),
        "detail": _shortened(rejection.detail),
        "attempts": attempt,
        "record_id": rejection.record_id,
        "model": {"name": model.name, "version": model.version},
        "causationid": None if event is None else event.id,
        "causationsource": None if event is None else event.source,
        "hub": received.hub,
        "partition": received.partition,
        "offset": received.offset,
        **(_original(received) if received.size <= max_bytes else _NO_ORIGINAL),
    }
    value = _encoded(data, received, event, rejection, model, now)
    if len(value) > max_bytes:
        value = _encoded(data | _NO_ORIGINAL, received, event, rejection, model, now)
    return Outgoing(hub, _key(received, rejection), value, STRUCTURED_HEADERS)


def _encoded(
    data: dict[str, Any],
    received: Received,
    event: Event | None,
    rejection: Rejection,
    model: ModelVersion,
    now: datetime,
) -> bytes:
    return encode(
        event_id=derived_id(*origin(received, event), model.digest),
        source=f"trilane/{model.name}",
        kind=TYPE,
        subject=rejection.record_id,
        time=now,
        data=data,
    )


def _original(received: Received) -> dict[str, Any]:
    """What a replay needs to take the event again as it was."""
    return {
        "original": _base64(received.value),
        "original_headers": [[name, _base64(value)] for name, value in received.headers],
        "original_key": _base64(received.key),
        "original_time": received_time(received),
    }


def _base64(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode()


def received_time(received: Received) -> datetime | None:
    """When the hub got it, in UTC, if it says so."""
    if received.timestamp_ms < 0:
        return None
    try:
        return datetime.fromtimestamp(received.timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _key(received: Received, rejection: Rejection) -> bytes | None:
    if rejection.record_id is not None:
        return rejection.record_id.encode()
    key = received.key
    return key if key is not None and len(key) <= _MAX_KEY_BYTES else None


def _shortened(detail: str) -> str:
    if len(detail) <= MAX_DETAIL_CHARACTERS:
        return detail
    return detail[: MAX_DETAIL_CHARACTERS - 1] + "…"
