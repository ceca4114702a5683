"""Messages by section (OASIS AMQP 1.0, part 3): what a sender gave, with every byte kept.

Only the map of message annotations is written anew, because the service adds its own to it; the
sender's pairs in it keep their bytes. Delivery annotations are for one hop and are dropped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.amqp_hub.codec import compound, decode, described, encode, items_of, value_end
from tests.support.amqp_hub.values import Symbol

HEADER, DELIVERY_ANNOTATIONS, ANNOTATIONS, PROPERTIES = 0x70, 0x71, 0x72, 0x73
APPLICATION_PROPERTIES, DATA, VALUE = 0x74, 0x75, 0x77
BATCH_FORMAT = 0x80013700
"""The format of a message whose data sections are messages (Microsoft's protocol guide)."""

PARTITION_KEY = "x-opt-partition-key"
SEQUENCE_NUMBER, OFFSET = "x-opt-sequence-number", "x-opt-offset"
ENQUEUED_TIME = "x-opt-enqueued-time"


@dataclass(frozen=True, slots=True)
class Content:
    """An event as its sender made it: encoded sections, and encoded pairs of annotations by key."""

    header: bytes
    annotations: dict[str, bytes]
    rest: bytes

    @property
    def partition_key(self) -> str | None:
        """The key by which the sender wants a partition chosen."""
        pair = self.annotations.get(PARTITION_KEY)
        return None if pair is None else str(decode(pair, value_end(pair, 0))[0])

    def annotated(self, added: dict[str, Any]) -> bytes:
        """All sections but the header; `added` annotations replace those of the same key."""
        pairs = self.annotations | {key: _pair(key, value) for key, value in added.items()}
        annotations = compound(0xC1, 2 * len(pairs), b"".join(pairs.values()))
        return described(ANNOTATIONS, annotations) + self.rest


def contents(message_format: int, payload: bytes) -> list[Content]:
    """The events of a message: one, or those of a batch. The SDK gives each the batch's key."""
    if message_format != BATCH_FORMAT:
        return [_content(payload)]
    return [
        _content(decode(payload, begin)[0])
        for code, _, begin, _ in sections(payload)
        if code == DATA
    ]


def sections(payload: bytes) -> Iterator[tuple[int, int, int, int]]:
    """For each section: its code, where it begins, where its value begins, where it ends."""
    at = 0
    while at < len(payload):
        if payload[at] != 0:
            raise ValueError("a message consists of described sections")
        code, value = decode(payload, at + 1)
        end = value_end(payload, value)
        yield int(code), at, value, end
        at = end


def request(payload: bytes) -> tuple[Any, dict[str, Any], Any]:
    """Message id, application properties and value of a request to `$cbs` or `$management`."""
    found = {code: decode(payload, begin)[0] for code, _, begin, _ in sections(payload)}
    properties = found.get(PROPERTIES) or [None]
    return properties[0], found.get(APPLICATION_PROPERTIES) or {}, found.get(VALUE)


def response(correlation_id: Any, properties: dict[str, Any], value: Any) -> bytes:
    """The message that answers a request."""
    return (
        described(PROPERTIES, encode([None] * 5 + [correlation_id] + [None] * 7))
        + described(APPLICATION_PROPERTIES, encode(properties))
        + described(VALUE, encode(value))
    )


def _content(payload: bytes) -> Content:
    header, annotations, rest = b"", dict[str, bytes](), bytearray()
    for code, begin, value, end in sections(payload):
        if code == HEADER:
            header = payload[begin:end]
        elif code == ANNOTATIONS:
            annotations = dict(_pairs(payload, value))
        elif code != DELIVERY_ANNOTATIONS:
            rest += payload[begin:end]
    return Content(header, annotations, bytes(rest))


def _pairs(payload: bytes, at: int) -> Iterator[tuple[str, bytes]]:
    count, at = items_of(payload, at)
    for _ in range(count // 2):
        key, value = decode(payload, at)
        end = value_end(payload, value)
        yield str(key), payload[at:end]
        at = end


def _pair(key: str, value: Any) -> bytes:
    return encode(Symbol(key)) + encode(value)
