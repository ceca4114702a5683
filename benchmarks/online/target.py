"""One server as the generator sees it: its connections, and whether it says it is ready."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

from benchmarks.online.connection import Answer, Connection
from benchmarks.online.plan import Plan

RECONNECT_SECONDS: Final = 0.05
PROBE_SECONDS: Final = 1.0


class Target:
    """Connections that are kept open, and are opened again when they are lost."""

    def __init__(
        self,
        port: int,
        plan: Plan,
        answered: Callable[[Connection, Answer], None],
        lost: Callable[[Connection], None],
    ) -> None:
        self._port = port
        self._plan = plan
        self._answered = answered
        self._lost = lost
        self._free: list[Connection] = []
        self._all: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready = True
        self._closed = False

    async def open(self) -> None:
        """Connect; returns when every connection is there."""
        await asyncio.gather(*(self._connect() for _ in range(self._plan.connections)))
        if len(self._plan.ports) > 1:
            self._ready = await self._probe()
            self._spawn(self._poll())

    def take(self) -> Connection | None:
        """A connection to send on, the one used last; None when the server is not ready."""
        if not self._ready:
            return None
        while self._free:
            connection = self._free.pop()
            if connection.usable:
                return connection
        return None

    def close(self) -> None:
        """Give all connections up."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for connection in self._all:
            connection.close()

    async def _connect(self) -> None:
        while not self._closed:
            with contextlib.suppress(OSError):
                loop = asyncio.get_running_loop()
                _, connection = await loop.create_connection(
                    lambda: Connection(self._free_again, self._gone), "127.0.0.1", self._port
                )
                self._all.add(connection)
                self._free.append(connection)
                return
            await asyncio.sleep(RECONNECT_SECONDS)

    def _free_again(self, connection: Connection, answer: Answer) -> None:
        if connection.usable:
            self._free.append(connection)
        self._answered(connection, answer)

    def _gone(self, connection: Connection) -> None:
        self._all.discard(connection)
        self._lost(connection)
        if not self._closed:
            self._spawn(self._connect())

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._plan.poll_seconds)
            self._ready = await self._probe()

    async def _probe(self) -> bool:
        """Whether `/readyz` answers 200, on a connection of its own."""
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(
                    b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
                )
                status = await reader.readline()
                writer.close()
        except (OSError, TimeoutError):
            return False
        return status.startswith(b"HTTP/1.1 200 ")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
