"""Publishing from code that blocks."""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from adapters.event_hub.messages import Outgoing
from adapters.event_hub.ports import EventWriter
from adapters.event_hub.retries import Retries
from scoring.errors import BrokerUnavailable

logger = logging.getLogger(__name__)


class BlockingWriter:
    """An `EventWriter` whose event loop runs in a thread of its own; `with` connects and closes.

    `write` may be called from several threads. One write follows the other: what several have in
    flight together could exceed what the hub takes in one request (`messages.portions`).
    """

    def __init__(self, writer: EventWriter, retries: Retries) -> None:
        self._writer = writer
        self._retries = retries
        self._turn, self._ending = asyncio.Lock(), asyncio.Event()
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="event-hub", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: str | None = None

    def __enter__(self) -> Self:
        """Raises BrokerUnavailable when the hub does not answer or one of its hubs is missing,
        ConfigurationError when it refuses the sign-in; neither is tried again.
        """
        self._thread.start()
        try:
            self._loop = self._ready.result()
        except Exception:
            self._thread.join()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(self._ending.set)
            self._ended.result()
            self._thread.join()

    def write(self, messages: Sequence[Outgoing]) -> None:
        """Returns when the hub has acknowledged all of them; order is kept per key.

        What fails for now is tried again, all of it, so any of them may arrive more than once.
        Raises BrokerUnavailable when it failed for too long; after that every write raises it at
        once. Raises InputError, with nothing sent, when one is too large for any request.
        """
        if self._loop is None:
            raise RuntimeError("the writer is not connected; use it in `with`")
        asyncio.run_coroutine_threadsafe(self._write(messages), self._loop).result()

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as error:
            for waited_for in (self._ready, self._ended):
                if not waited_for.done():
                    waited_for.set_exception(error)
        else:
            self._ended.set_result(None)

    async def _live(self) -> None:
        async with self._writer:
            self._ready.set_result(asyncio.get_running_loop())
            await self._ending.wait()

    async def _write(self, messages: Sequence[Outgoing]) -> None:
        async with self._turn:
            if self._failure is not None:
                raise BrokerUnavailable(self._failure)
            began, attempt = time.monotonic(), 0
            while True:
                attempt += 1
                try:
                    await self._writer.write(messages)
                    return
                except BrokerUnavailable as error:
                    if time.monotonic() - began >= self._retries.seconds:
                        self._failure = str(error)
                        raise
                    extra = {"event": "retry", "attempt": attempt, "error": str(error)}
                    logger.warning("events were not published; trying again", extra=extra)
                await asyncio.sleep(self._retries.delay(attempt))
