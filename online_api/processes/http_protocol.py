"""HTTP/1.1 connections that nobody can hold: uvicorn's protocol with limits on time and size.

A connection waits for headers, works on a request, skips the rest of a body whose request was
answered already, is idle, or leaves. Each of these ends by itself, and so does an answer that is
not read. One timer per connection looks at it every few seconds, so a request costs no timer of its
own. A body or an answer that is late is told to the request's task, which answers so.

What is refused here never reaches the app: it is answered with a problem document, the sending side
is closed, and what still arrives is thrown away for a moment, because a peer that is still sending
when the connection closes sees a reset and not the answer (RFC 9112, section 9.6).
"""

import asyncio
import enum
from asyncio.events import TimerHandle
from functools import partial
from typing import Any, ClassVar, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from online_api.call import WHOLE_KEY
from online_api.context import LATE_ANSWER, LATE_BODY
from online_api.problems import HEADERS_TOO_LARGE, MALFORMED, OVERLOADED, REQUEST_TIMEOUT, Kind
from online_api.processes.connections import (
    HEADERS_RULE,
    LEAVE_SECONDS,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    MAX_PIPELINED,
    MAX_TURNED_AWAY,
    OF_THE_DEFAULT,
    READ_BYTES,
    REST_SECONDS,
    UNSHED,
    House,
    busy,
    kernel_unsent,
    refusal,
)

_FRESH_SECONDS: Final = 1.0


def _send_whole(
    cycle: RequestResponseCycle, status: int, head: bytes, body: bytes, close: bool
) -> bool:
    """A `SendWhole`: what uvicorn's `send` does for two messages, without a look at each header."""
    if cycle.response_started or cycle.disconnected or cycle.flow.write_paused:
        return False
    cycle.response_started = cycle.response_complete = True
    if close:
        cycle.keep_alive = False
    dated = b"".join([b"%b: %b\r\n" % header for header in cycle.default_headers])
    end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
    cycle.transport.write(b"".join((STATUS_LINE[status], dated, head, end, body)))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True


def protocol_of(house: House) -> "type[LimitedProtocol]":
    """The class whose instances are this house's connections; for `uvicorn.Config(http=)`."""

    class Bound(LimitedProtocol):
        pass

    Bound.house = house
    return Bound


class _Phase(enum.Enum):
    HEADERS = enum.auto()
    WORKING = enum.auto()
    SKIPPING = enum.auto()
    IDLE = enum.auto()
    LEAVING = enum.auto()


class LimitedProtocol(HttpToolsProtocol):
    """One connection."""

    house: ClassVar[House]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Called by uvicorn."""
        super().__init__(config, server_state, app_state, _loop)
        self._timer: TimerHandle | None = None
        self._phase = _Phase.HEADERS
        self._since = 0.0  # when the phase began, or in WORKING the last answer was complete
        self._partial = False  # between the first byte of a request and the end of its headers
        self._chunk = 0  # bytes that are being parsed
        self._behind = False  # whether in them that request begins behind another
        self._received = 0  # bytes of that request before them, or nearly so if it began behind
        self._too_large = False
        self._declined = b""
        self._deaf = False
        self._last = False
        self._held = False  # the next request waits until answers are read
        self._unread = 0  # bytes of answers that waited to be sent at `_unread_since`
        self._unread_since = 0.0
        self._hand: RequestResponseCycle | None = None  # the request that is worked on; `cycle` is
        self._task: asyncio.Task[None] | None = None  # the newest, which may stand behind it
        self._began = 0.0  # when the request in hand was begun

    # What the transport calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or answer that there are too many."""
        if len(self.connections) < self.house.limits.max_connections:
            super().connection_made(transport)
            self._since = self.loop.time()
            self._look_in(self.house.limits.look_seconds)
            return
        self.transport = transport
        self.house.shed("connections")
        if len(self.house.turned_away) >= MAX_TURNED_AWAY:
            transport.abort()
            return
        self.house.turned_away.add(self)
        self._refuse(OVERLOADED, "there are too many connections")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self.house.turned_away.discard(self)
        self._deaf = True
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse, and refuse what is no HTTP/1.1 or has too large headers."""
        if self._deaf:
            return
        self._chunk = len(data)
        self._behind = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            if self._too_large:
                self._stop_listening(HEADERS_TOO_LARGE, HEADERS_RULE)
            else:
                self._stop_listening(MALFORMED, "this is no HTTP/1.1 request")
        except httptools.HttpParserUpgrade as upgrade:
            # Once more without the offer, with a parser that does not wait for the protocol.
            self.parser = httptools.HttpRequestParser(self)
            self.data_received(self._declined + data[upgrade.args[0] :])
            return
        if self._partial:
            self._received += self._size() if self._behind else self._chunk
            if self._received > MAX_HEADER_BYTES:
                self._stop_listening(HEADERS_TOO_LARGE, HEADERS_RULE)

    def pause_writing(self) -> None:
        """The peer does not read as fast as it asks: it gets no further answer for now."""
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        """The peer reads."""
        super().resume_writing()
        self._unread = 0
        if self._held:
            self._held = False
            self._go_on()
        elif not self.pipeline:
            self.flow.resume_reading()

    # What the parser calls

    def on_message_begin(self) -> None:
        """The first byte of a request; the one before it may still be worked on."""
        super().on_message_begin()
        self._partial = True
        self._received = 0
        self._behind = self._phase in (_Phase.WORKING, _Phase.SKIPPING)
        if self._phase is _Phase.IDLE:
            self._enter(_Phase.HEADERS)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header. Trailers, which come after the body, are not kept: nothing bounds them."""
        if self._partial:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start to work on the request, or put it behind those that are here already."""
        if len(self.headers) > MAX_HEADERS or (
            self._received + self._chunk > MAX_HEADER_BYTES and self._size() > MAX_HEADER_BYTES
        ):
            self._too_large = True
            raise ValueError(HEADERS_RULE)
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests wait on this connection")
        if self.parser.should_upgrade():
            self._declined = self._without_upgrade()
            return
        before, self._phase, self._partial = self._phase, _Phase.WORKING, False
        try:
            super().on_headers_complete()
        except Exception:  # a target that is no URL
            self._phase, self._partial = before, True
            raise
        if self._last:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """The end of a body, whose request may have been answered before."""
        if self._partial:  # it offered another protocol, and will be read again
            return
        super().on_message_complete()
        if self._phase is _Phase.SKIPPING:
            self._enter(_Phase.IDLE)

    # What uvicorn calls

    def on_response_complete(self) -> None:
        """Turn to the next request; instead of setting the base's timer only note the time."""
        self.server_state.total_requests += 1
        self._since = self.loop.time()
        if self._phase is _Phase.LEAVING or self.transport.is_closing():
            return
        if self.flow.write_paused:
            self._held = True
        else:
            self._go_on()

    def shutdown(self) -> None:
        """Take no further request but the one that has begun, then close."""
        self._last = True
        if self._phase is _Phase.WORKING and not self._held:
            self.cycle.keep_alive = False
        elif self._phase is _Phase.HEADERS and (self._partial or self.cycle is None):
            if not self._partial:  # just connected: its first request may be under way
                self._since = self.loop.time() - self.house.limits.header_seconds + _FRESH_SECONDS
                self._look_in(_FRESH_SECONDS)
        elif self._phase is not _Phase.LEAVING:
            self.transport.close()

    def _go_on(self) -> None:
        """Read on, and work on the next request if it is here already."""
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._partial:
            self._phase = _Phase.HEADERS
        else:
            self._phase = _Phase.SKIPPING if self.cycle.more_body else _Phase.IDLE

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Work on a request, or say that there are too many; then the connection lives on."""
        house, tasks, path = self.house, self.tasks, cycle.scope["path"]
        worked_on = len(tasks) - house.load.waiting
        if (worked_on >= house.limits.max_in_flight and path not in UNSHED) or (
            path in OF_THE_DEFAULT and house.load.is_full()
        ):
            house.shed("in_flight")
            cycle.response_started = cycle.response_complete = True
            close = self._last or not cycle.keep_alive or house.draining()
            self.transport.write(busy(house.new_id(), cycle.default_headers, close))
            if close:
                self.transport.close()
            self.on_response_complete()
            self._rest()
            return
        cycle.scope[WHOLE_KEY] = partial(_send_whole, cycle)  # type: ignore[typeddict-unknown-key]
        self._hand, self._began = cycle, self.loop.time()
        self._task = task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(tasks.discard)
        tasks.add(task)

    def _rest(self) -> None:
        """Read nothing for a while: answering refusals must not cost those who are accepted."""
        self.flow.pause_reading()
        self.loop.call_later(REST_SECONDS, self._read_on)

    def _read_on(self) -> None:
        if not self.transport.is_closing() and not self.flow.write_paused:
            self.flow.resume_reading()

    # Time

    def _enter(self, phase: _Phase) -> None:
        self._phase = phase
        self._since = self.loop.time()

    def _look_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """End what takes too long; otherwise look again, in time for the next end."""
        now = self.loop.time()
        left = self._phase_seconds() - (now - self._since)
        self._end_late_request(now - self._began)
        if self._is_unread(now):
            self.house.shed("unread_answer")
            self.transport.abort()
        elif left > 0:
            self._look_in(min(left, self.house.limits.look_seconds))
        elif self._phase is _Phase.HEADERS and self._partial:
            self.house.shed("slow_headers")
            self._refuse(REQUEST_TIMEOUT, "the headers did not arrive in time")
        elif self._phase is _Phase.LEAVING:
            self.transport.abort()
        else:
            self.transport.close()
            self._look_in(self.house.limits.look_seconds)

    def _end_late_request(self, seconds: float) -> None:
        """Cancel the task of a request that takes too long; it answers with the reason."""
        task, cycle = self._task, self._hand
        if task is None or task.done() or cycle is None or cycle.response_started:
            return
        if cycle.more_body and seconds >= self.house.limits.body_seconds:
            task.cancel(LATE_BODY)
        elif seconds >= self.house.limits.deadline_seconds:
            task.cancel(LATE_ANSWER)

    def _phase_seconds(self) -> float:
        limits = self.house.limits
        if self._phase is _Phase.LEAVING:
            return LEAVE_SECONDS
        if self._phase is _Phase.WORKING or self.transport.is_closing():
            return float("inf")  # `_end_late_request` ends the one, `_is_unread` the other
        if self._phase is _Phase.HEADERS:
            return limits.header_seconds
        return limits.idle_seconds if self._phase is _Phase.IDLE else limits.body_seconds

    def _is_unread(self, now: float) -> bool:
        """Whether an answer waits of which the peer took nearly nothing for `body_seconds`."""
        waiting = self.transport.get_write_buffer_size()
        if waiting:
            waiting += kernel_unsent(self.transport)
        known = self._unread > 0 and self._since <= self._unread_since
        if waiting and known and waiting > self._unread - READ_BYTES:
            return now - self._unread_since >= self.house.limits.body_seconds
        self._unread, self._unread_since = waiting, now
        return False

    # Refusals

    def _without_upgrade(self) -> bytes:
        """The head of a request without its offer of another protocol, which a server may ignore
        (RFC 9110, section 7.8). The parser would take the request's body for that protocol.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise ValueError("this server is no proxy")
        version = self.parser.get_http_version().encode()
        headers = [b"%b: %b\r\n" % pair for pair in self.headers if pair[0] != b"upgrade"]
        return b"".join([method, b" ", self.url, b" HTTP/", version, b"\r\n", *headers, b"\r\n"])

    def _size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _stop_listening(self, kind: Kind, detail: str) -> None:
        """What arrives makes no sense from here on. A request before it is still answered."""
        self._deaf = True
        self._partial = False
        self.house.shed(kind.code.replace("-", "_"))
        cycle = self.cycle
        if self._phase is not _Phase.WORKING:
            self._refuse(kind, detail)
        elif self.pipeline or self._held or (cycle.more_body and cycle.response_started):
            self.transport.close()
        elif cycle.more_body:  # the end of this request's own body
            cycle.disconnected = True
            cycle.message_event.set()
            self._refuse(kind, detail)
        else:
            cycle.keep_alive = False

    def _refuse(self, kind: Kind, detail: str) -> None:
        headers = self.server_state.default_headers
        self.transport.write(refusal(kind, detail, self.house.new_id(), headers))
        self.transport.write_eof()
        self._deaf = True
        self._enter(_Phase.LEAVING)
        self._look_in(LEAVE_SECONDS)
