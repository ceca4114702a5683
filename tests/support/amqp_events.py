"""Events as the SDK receives them, from the bytes of a message."""

from collections.abc import Mapping, Sequence
from typing import Any

from azure.eventhub import EventData

from tests.support.amqp_hub.codec import compound, described, encode
from tests.support.amqp_hub.messages import (
    ANNOTATIONS,
    APPLICATION_PROPERTIES,
    DATA,
    DELIVERY_ANNOTATIONS,
    ENQUEUED_TIME,
    OFFSET,
    PROPERTIES,
    SEQUENCE_NUMBER,
)
from tests.support.amqp_hub.values import Symbol, Timestamp

NOW_MS = 1_772_452_800_123


def event(
    number: int,
    body: bytes = b"",
    properties: Mapping[str, bytes] | None = None,
    annotations: Mapping[str, Any] | None = None,
    content_type: str | None = None,
    last: int | None = None,
    body_sections: Sequence[bytes] | None = None,
) -> EventData:
    """The event with a sequence number, enqueued at `NOW_MS`, its offset ten times as much.

    `properties` are encoded values. `last` is the number of the partition's last event when this
    one was sent. `body_sections` are encoded sections that take the place of the body.
    """
    own = {
        Symbol(SEQUENCE_NUMBER): number,
        Symbol(OFFSET): str(10 * number),
        Symbol(ENQUEUED_TIME): Timestamp(NOW_MS),
        **{Symbol(name): value for name, value in (annotations or {}).items()},
    }
    message = b""
    if last is not None:
        told = {Symbol("last_enqueued_sequence_number"): last}
        message += described(DELIVERY_ANNOTATIONS, encode(told))
    message += described(ANNOTATIONS, encode(own))
    if content_type is not None:
        message += described(PROPERTIES, encode([None] * 6 + [Symbol(content_type)]))
    if properties:
        pairs = b"".join(encode(name) + value for name, value in properties.items())
        message += described(APPLICATION_PROPERTIES, compound(0xC1, 2 * len(properties), pairs))
    message += b"".join([described(DATA, encode(body))] if body_sections is None else body_sections)
    return EventData.from_bytes(message)
