"""Uvicorn that stops as a rolling restart needs it."""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from types import FrameType
from typing import Final

import uvicorn

from online_api.context import Readiness
from online_api.processes.http_protocol import LimitedProtocol
from online_api.processes.listening import cannot_listen, url_of
from online_api.settings import OnlineSettings

_CUT_SECONDS: Final = 1.0
"""How long requests that were cut have to say so, and answers to leave."""

_TICK_SECONDS: Final = 0.05

logger = logging.getLogger(__name__)


class DrainingServer(uvicorn.Server):
    """Uvicorn that goes on answering for a while after it was told to stop."""

    def __init__(
        self,
        config: uvicorn.Config,
        readiness: Readiness,
        settings: OnlineSettings,
        on_ready: Callable[[], None],
        commands: Connection | None,
        in_flight: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`in_flight` is told every tenth of a second how many requests are worked on."""
        super().__init__(config)
        self._in_flight = in_flight
        self._readiness = readiness
        self._drain_seconds = settings.drain_seconds
        self._grace_seconds = settings.grace_seconds
        self._on_ready = on_ready
        self._commands = commands
        self._hurried = False

    def stop(self, hurry: bool) -> None:
        """Not ready from here on; requests that still arrive are answered, unless in a hurry."""
        self._readiness.drain()
        self._hurried = self._hurried or hurry
        self.should_exit = True

    def signalled(self, number: int, _: FrameType | None) -> None:
        """Handle a signal. With a supervisor the second may be the first, sent to the group."""
        again = self.should_exit and self._commands is None
        self.stop(hurry=number == signal.SIGINT or again)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """They are set already, and not raised once more at the end as the base does."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer, and say so. Raises ConfigurationError."""
        try:
            await super().startup(sockets)
        except OSError as error:
            raise cannot_listen(url_of((sockets or [])[0]).partition("//")[2], error) from error
        if (commands := self._commands) is not None:
            asyncio.get_running_loop().add_reader(commands.fileno(), self._obey, commands)
        self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        """Count what is worked on, besides what uvicorn does."""
        self._in_flight(len(self.server_state.tasks))
        return await super().on_tick(counter)

    async def main_loop(self) -> None:
        """Answer; and for the drain time after the signal, so that callers can move on."""
        await super().main_loop()
        logger.info("draining", extra={"event": "draining", "seconds": self._drain_seconds})
        until = time.monotonic() + self._drain_seconds
        ticks = 0
        while not self._hurried and time.monotonic() < until:
            await asyncio.sleep(_TICK_SECONDS)
            ticks += 1
            await self.on_tick(ticks)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connection, let requests in flight end, cut those that do not."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        state = self.server_state
        for connection in self._open():
            connection.shutdown()
        await self._until(lambda: not state.connections and not state.tasks, self._grace_seconds)
        if state.tasks:
            logger.warning(
                "%d requests did not end in time and are cut",
                len(state.tasks),
                extra={"event": "requests_cut", "requests": len(state.tasks)},
            )
            for task in list(state.tasks):
                task.cancel()
            await self._until(lambda: not state.connections and not state.tasks, _CUT_SECONDS)
        for connection in self._open():
            connection.transport.abort()
        await self.lifespan.shutdown()

    def _open(self) -> list[LimitedProtocol]:
        return [c for c in self.server_state.connections if isinstance(c, LimitedProtocol)]

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        until = time.monotonic() + seconds
        # Polled, as uvicorn does: its sets tell nobody when they change.
        while not condition() and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(_TICK_SECONDS)

    def _obey(self, commands: Connection) -> None:
        try:
            hurry = commands.recv()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(commands.fileno())
            hurry = False
        self.stop(hurry)
