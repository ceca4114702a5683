"""Events as a hub gives and takes them, whichever protocol carries them."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from scoring.errors import InputError

Headers = tuple[tuple[str, bytes], ...]
"""Kafka's record headers, or AMQP's application properties with their values as bytes. AMQP's
content type is the header `content-type`.
"""

MAX_REQUEST_BYTES: Final = 1_000_000
"""Event Hubs takes about 1 MB in one request."""

_PORTION_BYTES: Final = 950_000
_MESSAGE_OVERHEAD_BYTES: Final = 128


class Received(msgspec.Struct, frozen=True, gc=False):
    """One event as the hub gave it; nothing of it was decoded.

    `offset` grows within a partition: Kafka's offset, AMQP's sequence number. `timestamp_ms` is
    when the hub got it, -1 for unknown.
    """

    hub: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def size(self) -> int:
        """Bytes of its key and value."""
        return len(self.value or b"") + len(self.key or b"")


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """One event to publish; events with the same key keep their order."""

    hub: str
    key: bytes | None
    value: bytes
    headers: Headers = ()

    @property
    def size(self) -> int:
        """An upper bound of its size in a request, in bytes."""
        size = len(self.value) + len(self.key or b"") + _MESSAGE_OVERHEAD_BYTES
        for name, value in self.headers:
            size += len(name) + len(value)
        return size


def portions(messages: Sequence[Outgoing]) -> Iterator[Sequence[Outgoing]]:
    """What may be in flight together: a request may hold a batch for every partition, and Event
    Hubs closes the connection when a request is larger than about 1 MB.

    Raises InputError, before anything is given, when one message is larger than any request.
    """
    sizes = [message.size for message in messages]
    for message, size in zip(messages, sizes, strict=True):
        if size > MAX_REQUEST_BYTES:
            raise InputError(f"an event for {message.hub} exceeds {MAX_REQUEST_BYTES} bytes")
    start, total = 0, 0
    for position, size in enumerate(sizes):
        if position > start and total + size > _PORTION_BYTES:
            yield messages[start:position]
            start, total = position, 0
        total += size
    if start < len(messages):
        yield messages[start:]


def named(error: BaseException) -> str:
    """A client error in one line."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
