"""One connection (OASIS AMQP 1.0, part 2): headers, SASL, open, sessions, silence, close."""

import asyncio
import sys
import traceback
from collections.abc import Callable
from typing import Any, Protocol

from tests.support.amqp_hub.attach import Attach, Opened
from tests.support.amqp_hub.frames import (
    AMQP_HEADER,
    BEGIN,
    CLOSE,
    EMPTY_FRAME,
    END,
    HEADER_BYTES,
    MAX_FRAME_BYTES,
    MIN_MAX_FRAME_BYTES,
    OPEN,
    SASL_HEADER,
    SASL_INIT,
    AmqpError,
    frame,
    take_frame,
)
from tests.support.amqp_hub.sasl import OFFER, Entry, entry
from tests.support.amqp_hub.session import Session
from tests.support.amqp_hub.timers import Timers
from tests.support.amqp_hub.tokens import Policy
from tests.support.amqp_hub.values import Symbol, UInt, UShort

_CHANNEL_MAX = 255
_WRITE_AHEAD_BYTES = 1 << 20
_PRODUCT = {Symbol("product"): "trilane test hub", Symbol("version"): "1"}


class Node(Protocol):
    """What links attach to."""

    policy: Policy

    def open_link(self, connection: "Connection", session: Session, attach: Attach) -> Opened:
        """The end of a link; AmqpError refuses it."""


class Connection(asyncio.Protocol):
    """One peer. Everything happens in the event loop, in the order of its frames."""

    def __init__(
        self, node: Node, idle_seconds: float, gone: Callable[["Connection"], None]
    ) -> None:
        self.hubs: set[str] = set()
        self.trusted = False
        self.max_frame_bytes = MIN_MAX_FRAME_BYTES
        self._node = node
        self._idle_seconds = idle_seconds
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._received = bytearray()
        self._unsent = bytearray()
        self._sessions: dict[int, Session] = {}
        self._let_in = self._opened = self._closing = self._paused = False
        self._heard = self._loop.time()
        self._timers = Timers()

    def connection_made(self, transport: Any) -> None:
        """The peer is there; it speaks first."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes of the peer, in any portions."""
        self._heard = self._loop.time()
        self._received += data
        try:
            while not self._closing and self._take():
                pass
        except Exception as error:  # a peer, or this program, is wrong: say so at both ends
            traceback.print_exc(file=sys.stderr)
            self.close(AmqpError("amqp:decode-error", f"{type(error).__name__}: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The peer is gone; so are its links."""
        self._closing = True
        self._timers.cancel()
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()
        self._gone(self)

    def pause_writing(self) -> None:
        """The peer does not keep up."""
        self._paused = True

    def resume_writing(self) -> None:
        """It does again."""
        self._paused = False
        for session in self._sessions.values():
            session.pump()

    def writable(self) -> bool:
        """Whether the peer keeps up with what is sent."""
        if len(self._unsent) > _WRITE_AHEAD_BYTES:
            self._flush()
        return not self._paused and not self._closing

    def write(self, data: bytes) -> None:
        """Send bytes when this turn of the loop is over, all of a turn at once."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent += data

    def close(self, error: AmqpError | None = None) -> None:
        """Say goodbye, and why, and hang up."""
        if not self._closing:
            self.write(frame(0, CLOSE, [error and error.described()]))
            self._hang_up()

    def drop(self) -> None:
        """Hang up without a word."""
        self._closing = True
        self._transport.abort()

    def _hang_up(self) -> None:
        self._closing = True
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        data, self._unsent = bytes(self._unsent), bytearray()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def _take(self) -> bool:
        if self._received[:4] == b"AMQP":  # no frame is that long
            header = bytes(self._received[:HEADER_BYTES])
            if len(header) < HEADER_BYTES:
                return False
            del self._received[:HEADER_BYTES]
            self._answer_header(header)
            return True
        taken = take_frame(self._received)
        if taken is None:
            return False
        self._handle(*taken)
        return True

    def _answer_header(self, header: bytes) -> None:
        if header == SASL_HEADER and not self._let_in:
            self.write(SASL_HEADER + OFFER)
        elif header == AMQP_HEADER and self._let_in:
            self.write(AMQP_HEADER)
        else:
            self.write(SASL_HEADER)
            self._hang_up()

    def _handle(self, channel: int, code: int, fields: list[Any], payload: bytes) -> None:
        if code == SASL_INIT:
            allowed = entry(fields, self._node.policy)
            self._let_in = allowed is not Entry.REFUSED
            self.trusted = allowed is Entry.TRUSTED
            self.write(allowed.outcome())
        elif code == OPEN and self._let_in:
            self._open(fields)
        elif code == CLOSE:
            self.close()
        elif code and not self._opened:
            raise ValueError("a frame before open")
        elif code == BEGIN:
            self._sessions[channel] = Session(self, channel, fields, self._open_link)
        elif code == END:
            session = self._sessions.pop(channel, None)
            if session is not None:
                session.close()
                self.write(frame(channel, END, []))
        elif channel in self._sessions:  # else the session was ended with links still attached
            self._sessions[channel].handle(code, fields, payload)

    def _open(self, fields: list[Any]) -> None:
        self._opened = True
        self.max_frame_bytes = MAX_FRAME_BYTES if fields[2] is None else int(fields[2])
        limits = [UInt(MAX_FRAME_BYTES), UShort(_CHANNEL_MAX)]
        idle = UInt(int(self._idle_seconds * 1000))
        properties = [None] * 4 + [_PRODUCT]
        self.write(frame(0, OPEN, ["trilane-test-hub", None, *limits, idle, *properties]))
        self._timers.every(self._idle_seconds / 4, self._close_if_silent)
        if fields[4]:
            self._timers.every(fields[4] / 2000, lambda: self.write(EMPTY_FRAME))

    def _open_link(self, session: Session, attach: Attach) -> Opened:
        return self._node.open_link(self, session, attach)

    def _close_if_silent(self) -> None:
        if self._loop.time() - self._heard > self._idle_seconds:
            words = f"inactive for more than the allowed {self._idle_seconds:g} seconds"
            self.close(AmqpError("amqp:connection:forced", f"The connection was {words}."))
