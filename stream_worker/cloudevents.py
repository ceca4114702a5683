"""CloudEvents 1.0 over Kafka: structured JSON and binary mode in, structured JSON out.

CloudEvents specification 1.0.2 and its Kafka protocol binding. `id` and `source` are limited to
`MAX_ATTRIBUTE_CHARACTERS`, because outputs carry them.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from adapters.event_hub import Headers, Outgoing, Received
from scoring.json_text import NotJsonError, decode_json
from scoring.records import RejectionCode, Violation

MAX_ATTRIBUTE_CHARACTERS = 1024
CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"
STRUCTURED_HEADERS: Headers = (("content-type", CONTENT_TYPE.encode()),)

_PREFIX = "ce_"
_ATTRIBUTES = ("specversion", "id", "source", "type", "subject", "time")
_Attribute = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ATTRIBUTE_CHARACTERS)]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


@dataclass(frozen=True, slots=True)
class Event:
    """A decoded event. `time` is in UTC; `data` is decoded JSON, None when the event has none.

    `traceparent` is the attribute of CloudEvents' Distributed Tracing extension, unchecked.
    """

    id: str
    source: str
    type: str
    subject: str | None
    time: datetime | None
    data: Any
    traceparent: str | None = None


class _Envelope(msgspec.Struct, frozen=True):
    specversion: str
    id: _Attribute
    source: _Attribute
    type: _Attribute
    subject: str | None = None
    time: _Time | None = None
    data: Any = None
    traceparent: Any = None


_STRUCTURED = msgspec.json.Decoder(_Envelope)


def decode(received: Received, max_bytes: int) -> Event | Violation:
    """The event, or the rule it breaks (never its values).

    Binary mode where a `ce_specversion` header says so, unless the content type says structured;
    structured JSON otherwise, with or without a content type.
    """
    value = received.value or b""
    if len(value) > max_bytes:
        return Violation(None, RejectionCode.TOO_LARGE, f"must not exceed {max_bytes} bytes")
    try:
        return _event(_envelope(value, dict(received.headers)))
    except msgspec.ValidationError as error:
        return _malformed(f"is no CloudEvent: {error}")  # names attribute and rule only
    except NotJsonError as error:
        return _malformed(str(error))
    except UnicodeDecodeError:
        return _malformed("has a CloudEvents header that is not UTF-8")
    except OverflowError:
        return _malformed("is no CloudEvent: time is out of range")


def encode(
    *, event_id: str, source: str, kind: str, subject: str | None, time: datetime, data: Any
) -> bytes:
    """One structured JSON event; `time` is timezone-aware."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": kind,
    }
    if subject is not None:
        event["subject"] = subject
    event |= {"time": time, "datacontenttype": "application/json", "data": data}
    return msgspec.json.encode(event)


def outgoing(hub: str, subject: str, value: bytes) -> Outgoing:
    """An encoded event, keyed by its subject."""
    return Outgoing(hub, subject.encode(), value, STRUCTURED_HEADERS)


def _envelope(value: bytes, headers: dict[str, bytes]) -> _Envelope:
    content_type = headers.get("content-type", b"").strip().lower()
    structured = content_type.startswith(b"application/cloudevents")
    if structured or f"{_PREFIX}specversion" not in headers:
        return _structured(value)
    attributes: dict[str, Any] = {
        name: headers[_PREFIX + name].decode() for name in _ATTRIBUTES if _PREFIX + name in headers
    }
    attributes["data"] = decode_json(value) if value else None
    return msgspec.convert(attributes, _Envelope)


def _structured(value: bytes) -> _Envelope:
    try:
        return _STRUCTURED.decode(value)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return msgspec.convert(decode_json(value), _Envelope)


def _event(envelope: _Envelope) -> Event | Violation:
    if envelope.specversion != "1.0":
        return _malformed("is no CloudEvent of version 1.0")
    time = None if envelope.time is None else envelope.time.astimezone(UTC)
    trace = envelope.traceparent if isinstance(envelope.traceparent, str) else None
    return Event(
        envelope.id, envelope.source, envelope.type, envelope.subject, time, envelope.data, trace
    )


def _malformed(rule: str) -> Violation:
    return Violation(None, RejectionCode.MALFORMED, rule)
