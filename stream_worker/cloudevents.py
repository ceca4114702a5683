"""CloudEvents 1.0 over Kafka: structured JSON and binary mode in, structured JSON out.

CloudEvents specification 1.0.2 and its Kafka protocol binding. `id` and `source` are limited to
`MAX_ATTRIBUTE_CHARACTERS`, because outputs carry them.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec

from adapters.event_hub.attributes import binary_attributes
from adapters.event_hub.messages import Headers, Outgoing, Received
from scoring.json_text import NotJsonError, decode_json
from scoring.records import RejectionCode, Violation

MAX_ATTRIBUTE_CHARACTERS = 1024
CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"
STRUCTURED_HEADERS: Headers = (("content-type", CONTENT_TYPE.encode()),)

_JSON = "application/json"
_Attribute = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ATTRIBUTE_CHARACTERS)]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Event(NamedTuple):
    """A decoded event. `time` is in UTC.

    `data` is decoded JSON, None when the event has none; with `typed` it is a row of the decoder's
    type instead. `traceparent` is the attribute of CloudEvents' Distributed Tracing extension,
    unchecked.
    """

    id: str
    source: str
    type: str
    subject: str | None
    time: datetime | None
    data: Any
    traceparent: str | None = None
    typed: bool = False


_Data = TypeVar("_Data")


class _Envelope(msgspec.Struct, Generic[_Data], frozen=True, gc=False):
    specversion: str
    id: _Attribute
    source: _Attribute
    type: _Attribute
    subject: str | None = None
    time: _Time | None = None
    data: _Data | None = None
    traceparent: Any = None


class EventDecoder:
    """Decodes events, of one type of row where that can be done. Thread-safe."""

    def __init__(self, max_bytes: int, row: type[msgspec.Struct] | None = None) -> None:
        """Larger events are not decoded. `row` is what `data` becomes if it fits."""
        self._max_bytes = max_bytes
        self._plain = msgspec.json.Decoder(_Envelope[Any])
        self._typed = None if row is None else msgspec.json.Decoder(_Envelope[row])  # type: ignore[valid-type]
        self._row = None if row is None else msgspec.json.Decoder(row)

    def decode(self, received: Received, plain: bool = False) -> Event | Violation:
        """The event, or the rule it breaks (never its values).

        Binary mode where a header says so (`attributes.py`); structured JSON otherwise. With
        `plain` the data is no row.
        """
        value = received.value or b""
        if len(value) > self._max_bytes:
            rule = f"must not exceed {self._max_bytes} bytes"
            return Violation(None, RejectionCode.TOO_LARGE, rule)
        binary = binary_attributes(received.headers)
        if not plain and self._typed is not None and self._row is not None:
            try:
                if binary is None:
                    return _event(self._typed.decode(value), typed=True)
                return _event(_from_headers(binary, self._row.decode(value)), typed=True)
            except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, RecursionError):
                pass  # what is wrong with it is said below, if anything is
        try:
            if binary is None:
                return _event(self._structured(value))
            return _event(_from_headers(binary, decode_json(value) if value else None))
        except msgspec.ValidationError as error:
            return _malformed(f"is no CloudEvent: {error}")  # names attribute and rule only
        except NotJsonError as error:
            return _malformed(str(error))
        except UnicodeDecodeError:
            return _malformed("has a CloudEvents header that is not UTF-8")
        except OverflowError:
            return _malformed("is no CloudEvent: time is out of range")

    def _structured(self, value: bytes) -> _Envelope[Any]:
        try:
            return self._plain.decode(value)
        except msgspec.ValidationError:
            raise
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return msgspec.convert(decode_json(value), _Envelope[Any])


class _Sent(msgspec.Struct, frozen=True, gc=False):
    specversion: str
    id: str
    source: str
    type: str
    subject: str | msgspec.UnsetType
    time: datetime
    datacontenttype: str
    data: Any


def encode(
    *, event_id: str, source: str, kind: str, subject: str | None, time: datetime, data: Any
) -> bytes:
    """One structured JSON event; `time` is timezone-aware."""
    shown = msgspec.UNSET if subject is None else subject
    return msgspec.json.encode(_Sent("1.0", event_id, source, kind, shown, time, _JSON, data))


def outgoing(hub: str, subject: str, value: bytes) -> Outgoing:
    """An encoded event, keyed by its subject."""
    return Outgoing(hub, subject.encode(), value, STRUCTURED_HEADERS)


def _from_headers(binary: dict[str, bytes], data: Any) -> _Envelope[Any]:
    """Raises msgspec.ValidationError, UnicodeDecodeError."""
    attributes = {name: value.decode() for name, value in binary.items()}
    envelope = msgspec.convert(attributes, _Envelope[Any])
    return msgspec.structs.replace(envelope, data=data)


def _event(envelope: _Envelope[Any], typed: bool = False) -> Event | Violation:
    if envelope.specversion != "1.0":
        return _malformed("is no CloudEvent of version 1.0")
    time = envelope.time
    if time is not None and time.tzinfo is not UTC:
        time = time.astimezone(UTC)
    trace = envelope.traceparent
    if not isinstance(trace, str):
        trace = None
    data = envelope.data
    return Event(
        envelope.id,
        envelope.source,
        envelope.type,
        envelope.subject,
        time,
        data,
        trace,
        typed and data is not None,
    )


def _malformed(rule: str) -> Violation:
    return Violation(None, RejectionCode.MALFORMED, rule)
