"""One replay at a time per storage, as far as storage without locks can tell."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Self

import msgspec

from adapters.storage import Storage
from scoring.errors import InputError, TransientError

ROOT: Final = "replays/lease"
LEASE: Final = timedelta(seconds=60)
_RENEW_SECONDS: Final = 15.0

logger = logging.getLogger(__name__)


class Held(msgspec.Struct, frozen=True):
    """A run that is under way until its process ends or `until` has passed."""

    run_id: str
    host: str
    process: int
    until: datetime


class Lease:
    """Held in `async with` and renewed meanwhile; ends by itself a minute after its process.

    A run says first that it is there and then looks for others, so of two that begin together at
    least one refuses. Clocks that are a minute apart, or two machines of one name, can defeat it:
    then both publish the same ids.
    """

    def __init__(self, storage: Storage, run_id: str, clock: Callable[[], datetime]) -> None:
        self._storage = storage
        self._run_id = run_id
        self._clock = clock
        self._renewing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Raises TransientError when another run is under way, StorageUnavailable."""
        await asyncio.to_thread(self._take)
        self._renewing = asyncio.create_task(self._renew())
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait({self._renewing})
        with contextlib.suppress(TransientError):  # it ends by itself
            await asyncio.to_thread(self._storage.delete, self._path)

    @property
    def _path(self) -> str:
        return f"{ROOT}/{self._run_id}.json"

    def _take(self) -> None:
        self._write()
        for file in self._storage.list(ROOT):
            if file.path == self._path:
                continue
            try:
                held = msgspec.json.decode(self._storage.read(file.path), type=Held)
            except InputError:  # it ended meanwhile
                continue
            if self._ended(held):
                self._storage.delete(file.path)
                continue
            self._storage.delete(self._path)
            raise TransientError(f"replay {held.run_id} is under way")

    def _write(self) -> None:
        held = Held(self._run_id, socket.gethostname(), os.getpid(), self._clock() + LEASE)
        self._storage.write(self._path, msgspec.json.encode(held))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            try:
                await asyncio.to_thread(self._write)
            except TransientError as error:
                logger.warning("the lease was not renewed", extra={"error": str(error)})

    def _ended(self, held: Held) -> bool:
        if held.until < self._clock():
            return True
        if held.host != socket.gethostname():
            return False
        return held.process == os.getpid() or not _runs(held.process)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
