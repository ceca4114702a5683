"""The two ends a link can have here (OASIS AMQP 1.0, part 2): taking messages, and giving them.

What is taken is acknowledged when the node behind the link has returned, so a node that writes to
disk first acknowledges nothing that is not there. What is given is sent settled.
"""

from collections.abc import Callable
from typing import Any, Protocol

from tests.support.amqp_hub.frames import ACCEPTED, REJECTED, AmqpError
from tests.support.amqp_hub.values import Described, UInt, ULong

MAX_MESSAGE_BYTES = 1_048_576
CREDIT = 300
_SEQUENCE_NUMBERS = 1 << 32


class LinkClosedError(AmqpError):
    """The link is detached with an error; the message in hand has no outcome."""


class Wire(Protocol):
    """What a link needs of its session."""

    def flow(self, handle: int, delivery_count: int, credit: int, *, drain: bool = False) -> None:
        """Tell the peer a link's state."""

    def settle(self, delivery_id: int, state: Described) -> None:
        """Tell the peer what became of a delivery."""

    def transfer(self, handle: int, payload: bytes) -> None:
        """Send one message, now or when the peer has room."""

    def has_room(self) -> bool:
        """Whether a message would leave now."""


class TakingLink:
    """The peer sends. `take` gets message format and payload; AmqpError rejects the message."""

    def __init__(self, wire: Wire, handle: int, take: Callable[[int, bytes], None]) -> None:
        self._wire = wire
        self._handle = handle
        self._take = take
        self._count = 0
        self._credit = 0
        self._first: list[Any] | None = None
        self._payload = bytearray()

    def attached(self) -> None:
        """Let the peer send."""
        self._grant()

    def transfer(self, fields: list[Any], payload: bytes) -> None:
        """One frame of a message. Raises LinkClosedError for a message that is too large."""
        first = self._first = self._first or fields
        self._payload += payload
        if len(self._payload) > MAX_MESSAGE_BYTES:
            raise LinkClosedError(
                "amqp:link:message-size-exceeded",
                f"The received message (delivery-id:{first[1]}, size:{len(self._payload)} bytes) "
                f"exceeds the limit ({MAX_MESSAGE_BYTES} bytes) currently allowed on the link.",
            )
        if fields[5]:  # more
            return
        message, self._first, self._payload = bytes(self._payload), None, bytearray()
        self._count += 1
        self._credit -= 1
        if not fields[9]:  # aborted
            self._finish(first, message)
        if self._credit <= CREDIT // 2:
            self._grant()

    def flow(self, fields: list[Any]) -> None:
        """Answer a peer that asks."""
        if fields[9]:  # echo
            self._wire.flow(self._handle, self._count, self._credit)

    def _finish(self, first: list[Any], message: bytes) -> None:
        state = Described(ULong(ACCEPTED), [])
        try:
            self._take(first[3] or 0, message)
        except LinkClosedError:
            raise
        except AmqpError as error:
            state = Described(ULong(REJECTED), [error.described()])
        if not first[4]:  # settled
            self._wire.settle(first[1], state)

    def _grant(self) -> None:
        self._credit = CREDIT
        self._wire.flow(self._handle, self._count, self._credit)


class GivingLink:
    """The peer receives. `following` gives the next message, or None for none now."""

    def __init__(self, wire: Wire, handle: int, following: Callable[[], bytes | None]) -> None:
        self._wire = wire
        self._handle = handle
        self._following = following
        self._count = 0
        self._credit = 0

    def attached(self) -> None:
        """The peer's credit is awaited."""

    def pump(self) -> None:
        """Send what there is, as far as credit and room go."""
        while self._credit > 0 and self._wire.has_room():
            message = self._following()
            if message is None:
                return
            self._count = (self._count + 1) % _SEQUENCE_NUMBERS
            self._credit -= 1
            self._wire.transfer(self._handle, message)

    def flow(self, fields: list[Any]) -> None:
        """New credit; a peer that drains gets the rest of it back."""
        peer_count, credit = fields[5] or UInt(0), fields[6]
        if credit is not None:
            self._credit = (peer_count + credit - self._count) % _SEQUENCE_NUMBERS
        self.pump()
        if fields[8]:  # drain
            self._count = (self._count + self._credit) % _SEQUENCE_NUMBERS
            self._credit = 0
        if fields[8] or fields[9]:  # echo
            self._wire.flow(self._handle, self._count, self._credit, drain=bool(fields[8]))
