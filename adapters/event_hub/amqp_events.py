"""Events as AMQP messages carry them.

The SDK's decoder gives strings and binary alike as bytes, and times as integers. Application
properties become text as the canonical strings of CloudEvents' type system have it (AMQP protocol
binding 1.0.2, section 2).
"""

from collections.abc import Iterator
from decimal import Decimal
from struct import Struct
from typing import Any, Final
from uuid import UUID

from azure.eventhub import EventData
from azure.eventhub.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType

from adapters.event_hub.amqp_values import text_of
from adapters.event_hub.attributes import PREFIXES
from adapters.event_hub.messages import Outgoing, Received

CONTENT_TYPE: Final = "content-type"

_KEY: Final = "x-opt-partition-key"
_KEYS: Final = (_KEY.encode(), b"x-opt-kafka-key")
_ENQUEUED: Final = b"x-opt-enqueued-time"
_TIMES: Final = frozenset(prefix + "time" for prefix in PREFIXES)
_LONG: Final = Struct(">q")
_TIMESTAMP: Final = b"\x83"
_NET_TIME: Final = b"\x00\xa3\x1dcom.microsoft:datetime-offset\x81"
_YEAR_10000_MS: Final = 253_402_300_800_000


def received(hub: str, partition: int, event: EventData) -> Received:
    """One event as the hub gave it. Raises nothing, whatever a sender put in it.

    Without a body that is bytes or one simple value, it has no value.
    """
    annotations = event.raw_amqp_message.annotations or {}
    enqueued = annotations.get(_ENQUEUED)
    return Received(
        hub,
        partition,
        event.sequence_number or 0,
        enqueued if isinstance(enqueued, int) else -1,
        _key(annotations),
        _value(event),
        tuple(_headers(event)),
    )


def annotated(message: Outgoing) -> AmqpAnnotatedMessage:
    """An event to publish. Its key becomes the partition key, which Kafka readers see as key.

    Headers are application properties: strings where they are UTF-8, else binary.
    """
    properties = {name: _string(value) for name, value in message.headers}
    content_type = properties.pop(CONTENT_TYPE, None)
    sections: dict[str, Any] = {}
    if content_type is not None:
        sections["properties"] = {"content_type": content_type}
    if message.key:
        sections["annotations"] = {_KEY: _string(message.key)}
        sections["header"] = {"durable": True}
    return AmqpAnnotatedMessage(
        data_body=message.value, application_properties=properties, **sections
    )


def _key(annotations: dict[Any, Any]) -> bytes | None:
    for name in _KEYS:
        found = annotations.get(name)
        if isinstance(found, str | bytes):
            return _bytes(found)
    return None


def _value(event: EventData) -> bytes | None:
    body: Any = event.raw_amqp_message.body
    if event.body_type == AmqpMessageBodyType.DATA:
        return b"".join(body)
    if event.body_type == AmqpMessageBodyType.VALUE and body is not None:
        return _text(body)
    return None


def _headers(event: EventData) -> Iterator[tuple[str, bytes]]:
    for key, value in (event.properties or {}).items():
        name = key.decode(errors="replace") if isinstance(key, bytes) else str(key)
        text = _time(value) if name in _TIMES and type(value) is int else _text(value)
        if text is not None:
            yield name, text
    properties = event.raw_amqp_message.properties
    if properties is not None and isinstance(properties.content_type, str | bytes):
        yield CONTENT_TYPE, _bytes(properties.content_type)


def _text(value: object) -> bytes | None:
    """None for what has no text: lists and maps."""
    if isinstance(value, bytes | str):
        return _bytes(value)
    if value is None:
        return b""
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, int | float | Decimal | UUID):
        return str(value).encode()
    return None


def _time(value: int) -> bytes | None:
    """RFC 3339. Milliseconds since 1970, or, where those would lie beyond the year 9999, .NET's
    ticks.
    """
    if not -_YEAR_10000_MS < value < 1 << 63:
        return _text(value)
    encoding = _TIMESTAMP if value < _YEAR_10000_MS else _NET_TIME
    return text_of(encoding + _LONG.pack(value)) or _text(value)


def _bytes(value: str | bytes) -> bytes:
    return value.encode(errors="replace") if isinstance(value, str) else value


def _string(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
