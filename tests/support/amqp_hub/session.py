"""A session: its links by handle, and its windows (OASIS AMQP 1.0, part 2).

Handles and the channel are those of the peer. Windows count frames: what the peer has no room for
waits here, and its links with it.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from tests.support.amqp_hub.attach import Attach, Opened, read_attach
from tests.support.amqp_hub.frames import (
    ATTACH,
    BEGIN,
    DETACH,
    DISPOSITION,
    FLOW,
    HEADER_BYTES,
    MAX_FRAME_BYTES,
    TRANSFER,
    AmqpError,
    frame,
)
from tests.support.amqp_hub.links import (
    MAX_MESSAGE_BYTES,
    GivingLink,
    LinkClosedError,
    TakingLink,
)
from tests.support.amqp_hub.values import Described, UByte, UInt, ULong, UShort

WINDOW = 5000
_HANDLE_MAX = 255
_TRANSFER_OVERHEAD = 64


class Peer(Protocol):
    """The connection, as a session needs it."""

    max_frame_bytes: int

    def write(self, data: bytes) -> None:
        """Send bytes, soon."""

    def writable(self) -> bool:
        """Whether the peer keeps up with what is sent."""


class Session:
    """One session. `open_link` gives the end of a link, or raises AmqpError to refuse it."""

    def __init__(
        self,
        peer: Peer,
        channel: int,
        begin: list[Any],
        open_link: Callable[["Session", Attach], Opened],
    ) -> None:
        self.replies: dict[str, Callable[[bytes], None]] = {}
        self._peer = peer
        self._channel = channel
        self._open_link = open_link
        self._links: dict[int, Opened] = {}
        self._incoming = int(begin[1])
        self._room = int(begin[2])
        self._outgoing = 1
        self._deliveries = 1
        self._waiting = deque[bytes]()
        windows = [UInt(WINDOW), UInt(WINDOW), UInt(_HANDLE_MAX)]
        self._send(BEGIN, [UShort(channel), UInt(self._outgoing), *windows])

    def handle(self, code: int, fields: list[Any], payload: bytes) -> None:
        """One frame from the peer."""
        if code == ATTACH:
            self._attach(fields)
        elif code == FLOW:
            self._flow(fields)
        elif code == TRANSFER:
            self._transfer(fields, payload)
        elif code == DETACH:
            self._detached(fields[0])

    def pump(self) -> None:
        """Send what waits, then what the links have, as far as there is room."""
        self._send_waiting()
        if self.has_room():
            for opened in tuple(self._links.values()):
                if isinstance(opened.link, GivingLink):
                    opened.link.pump()

    def close(self) -> None:
        """Leave everything; the peer is not told."""
        for handle in tuple(self._links):
            self._links.pop(handle).leave()

    def detach(self, handle: int, error: AmqpError) -> None:
        """Close a link and say why; nothing for a link that is gone."""
        opened = self._links.pop(handle, None)
        if opened is not None:
            opened.leave()
            self._send(DETACH, [UInt(handle), True, error.described()])

    def has_room(self) -> bool:
        """Whether a message would leave now."""
        return not self._waiting and self._room > 0 and self._peer.writable()

    def flow(self, handle: int, delivery_count: int, credit: int, *, drain: bool = False) -> None:
        """Tell the peer a link's state."""
        state = [UInt(handle), UInt(delivery_count), UInt(credit), UInt(0), drain, False]
        self._send(FLOW, [*self._windows(), *state])

    def settle(self, delivery_id: int, state: Described) -> None:
        """Tell the peer what became of a delivery."""
        number = UInt(delivery_id)
        self._send(DISPOSITION, [True, number, number, True, state])

    def transfer(self, handle: int, payload: bytes) -> None:
        """Send one message, in as many frames as it needs."""
        number = self._deliveries
        self._deliveries += 1
        step = min(self._peer.max_frame_bytes, MAX_FRAME_BYTES) - HEADER_BYTES - _TRANSFER_OVERHEAD
        first = [UInt(number), number.to_bytes(8, "big"), UInt(0)]
        for begin in range(0, len(payload), step):
            head = first if begin == 0 else [None, None, None]
            fields = [UInt(handle), *head, True, begin + step < len(payload)]
            part = payload[begin : begin + step]
            self._waiting.append(frame(self._channel, TRANSFER, fields, part))
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting and self._room > 0:
            self._peer.write(self._waiting.popleft())
            self._outgoing += 1
            self._room -= 1

    def _attach(self, fields: list[Any]) -> None:
        attach = read_attach(fields)
        try:
            opened = self._open_link(self, attach)
        except AmqpError as error:
            self._send_attach(attach, None, None)
            self._send(DETACH, [UInt(attach.handle), True, error.described()])
            return
        self._links[attach.handle] = opened
        self._send_attach(attach, attach.source, attach.target)
        opened.link.attached()

    def _send_attach(self, attach: Attach, source: Any, target: Any) -> None:
        settle = UByte(0 if attach.peer_sends else 1)
        count = None if attach.peer_sends else UInt(0)
        head = [attach.name, UInt(attach.handle), attach.peer_sends, settle, UByte(0)]
        size = ULong(MAX_MESSAGE_BYTES)
        self._send(ATTACH, [*head, source, target, None, None, count, size])

    def _flow(self, fields: list[Any]) -> None:
        seen = self._outgoing if fields[0] is None else int(fields[0])
        self._room = seen + int(fields[1]) - self._outgoing
        if fields[4] is not None and fields[4] in self._links:
            self._links[fields[4]].link.flow(fields)
        elif fields[9]:  # echo
            self._send(FLOW, self._windows())
        self.pump()

    def _transfer(self, fields: list[Any], payload: bytes) -> None:
        self._incoming += 1
        opened = self._links.get(fields[0])
        if opened is None or not isinstance(opened.link, TakingLink):
            return  # the rest of what was on its way when the link was closed
        try:
            opened.link.transfer(fields, payload)
        except LinkClosedError as error:
            self.detach(fields[0], error)

    def _detached(self, handle: int) -> None:
        opened = self._links.pop(handle, None)
        if opened is not None:  # else it answers our own
            opened.leave()
            self._send(DETACH, [UInt(handle), True, None])

    def _windows(self) -> list[Any]:
        return [UInt(self._incoming), UInt(WINDOW), UInt(self._outgoing), UInt(WINDOW)]

    def _send(self, code: int, fields: list[Any]) -> None:
        self._peer.write(frame(self._channel, code, fields))
