"""CloudEvents 1.0 as they come in: structured JSON and binary mode.

CloudEvents specification 1.0.2 and its Kafka protocol binding. `id` and `source` are limited to
`MAX_ATTRIBUTE_CHARACTERS`, because outputs carry them.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, cast

import msgspec

from adapters.event_hub.attributes import binary_attributes
from adapters.event_hub.messages import Received
from scoring.json_text import NotJsonError, decode_json
from scoring.records import RejectionCode, Violation

MAX_ATTRIBUTE_CHARACTERS = 1024

_Attribute = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ATTRIBUTE_CHARACTERS)]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Event(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A decoded event; its attributes in the order of the specification.

    `time` is in UTC. `data` is decoded JSON, None when the event has none, or a row of the
    decoder's type. `traceparent` is the attribute of CloudEvents' Distributed Tracing extension,
    unchecked, and may be of any type.
    """

    specversion: str
    id: _Attribute
    source: _Attribute
    type: _Attribute
    subject: str | None = None
    time: _Time | None = None
    data: Any = None
    traceparent: Any = None

    @property
    def typed(self) -> bool:
        """Whether `data` is a row."""
        return isinstance(self.data, msgspec.Struct)


class EventDecoder:
    """Decodes events, of one type of row where that can be done. Thread-safe."""

    def __init__(self, max_bytes: int, row: type[msgspec.Struct] | None = None) -> None:
        """Larger events are not decoded. `row` is what `data` becomes if it fits."""
        self._max_bytes = max_bytes
        self._plain = msgspec.json.Decoder(Event)
        self._typed = None if row is None else msgspec.json.Decoder(_with_data(row))
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
                    return _checked(self._typed.decode(value))
                return _checked(_from_headers(binary, self._row.decode(value)))
            except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, RecursionError):
                pass  # what is wrong with it is said below, if anything is
        try:
            if binary is None:
                return _checked(self._structured(value))
            return _checked(_from_headers(binary, decode_json(value) if value else None))
        except msgspec.ValidationError as error:
            return _malformed(f"is no CloudEvent: {error}")  # names attribute and rule only
        except NotJsonError as error:
            return _malformed(str(error))
        except UnicodeDecodeError:
            return _malformed("has a CloudEvents header that is not UTF-8")
        except OverflowError:
            return _malformed("is no CloudEvent: time is out of range")

    def _structured(self, value: bytes) -> Event:
        try:
            return self._plain.decode(value)
        except msgspec.ValidationError:
            raise
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return msgspec.convert(decode_json(value), Event)


def _with_data(row: type[msgspec.Struct]) -> type[Event]:
    fields = [("data", row | None, None)]
    return cast(
        "type[Event]",
        msgspec.defstruct(
            "TypedEvent", fields, bases=(Event,), frozen=True, gc=False, kw_only=True
        ),
    )


def _from_headers(binary: dict[str, bytes], data: Any) -> Event:
    """Raises msgspec.ValidationError, UnicodeDecodeError."""
    attributes = {name: value.decode() for name, value in binary.items()}
    envelope = msgspec.convert(attributes, Event)
    return msgspec.structs.replace(envelope, data=data)


def _checked(event: Event) -> Event | Violation:
    if event.specversion != "1.0":
        return _malformed("is no CloudEvent of version 1.0")
    if event.time is None or event.time.tzinfo is UTC:
        return event
    return msgspec.structs.replace(event, time=event.time.astimezone(UTC))


def _malformed(rule: str) -> Violation:
    return Violation(None, RejectionCode.MALFORMED, rule)
