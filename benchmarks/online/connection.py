"""HTTP/1.1 as the generator speaks it: one request at a time on a connection, answers with a
Content-Length. Only what costs little: a generator that is busy parsing measures itself.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

_END: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the generator wants to know of an answer."""

    status: int
    retry_after: bool
    last: bool


class AnswerReader:
    """The bytes of one answer after the other, in whatever pieces they come."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> Answer | None:
        """The answer, once it is whole. Raises ValueError for what is no answer of the kind."""
        if self._data:
            data = self._data + data
        end = data.find(_END)
        if end < 0:
            self._data = data
            return None
        head = data[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        if not head.startswith(b"http/1.1 ") or at < 0:
            raise ValueError("no HTTP/1.1 answer with a Content-Length")
        length = int(head[at + 17 :].partition(b"\r\n")[0])
        if len(data) < end + 4 + length:
            self._data = data
            return None
        self._data = b""
        status = int(head[9:12])
        plain = status == 200
        return Answer(
            status, not plain and b"\r\nretry-after:" in head, b"\r\nconnection: close" in head
        )


class Connection(asyncio.Protocol):
    """One connection of the generator.

    `answered` and `lost` are called with it; `lost` also when a request was under way, which
    `busy` tells.
    """

    def __init__(
        self,
        answered: Callable[["Connection", Answer], None],
        lost: Callable[["Connection"], None],
    ) -> None:
        self.busy = False
        self.number = 0
        self.phase = 0
        self.sent_at = 0.0
        self._answered = answered
        self._lost = lost
        self._reader = AnswerReader()
        self._transport: asyncio.Transport | None = None

    @property
    def usable(self) -> bool:
        """Whether a request can be sent now."""
        return self._transport is not None and not self._transport.is_closing() and not self.busy

    def send(self, request: bytes, number: int, phase: int, now: float) -> None:
        """Send one; the connection must be usable."""
        assert self._transport is not None  # noqa: S101
        self.busy, self.number, self.phase, self.sent_at = True, number, phase, now
        self._transport.write(request)

    def close(self) -> None:
        """At once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        try:
            answer = self._reader.feed(data)
        except ValueError:
            self.close()
            return
        if answer is not None:
            self.busy = False
            if answer.last:
                self.close()
            self._answered(self, answer)

    def connection_lost(self, _: Exception | None) -> None:
        """Called by the event loop."""
        self._transport = None
        self._lost(self)
