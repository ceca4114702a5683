"""A lease of Azure Blob Storage.

https://learn.microsoft.com/rest/api/storageservices/lease-blob
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final

from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.blob.aio import BlobClient, BlobLeaseClient
from fsspec.asyn import sync

from adapters.storage.errors import translated
from adapters.storage.leases import Lease, this_process
from adapters.storage.retries import Retries
from scoring.errors import TrilaneError

_AGAIN_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 10.0
_MARGIN_SECONDS: Final = 5.0
_MOST_BYTES: Final = 400
_TAKEN: Final = (404, 409, 412)
"""Answers that say that there is another lease, or that the blob is gone with this one."""

logger = logging.getLogger(__name__)


class BlobLease(Lease):
    """Renewed in the background, every third of its term, until it is given or refused.

    A term that ran out unrenewed is no loss yet: the service renews it all the same if nobody else
    had the lease since, and `check` asks for that.
    """

    poll_seconds = 2.0

    def __init__(
        self,
        client: BlobClient,
        loop: asyncio.AbstractEventLoop,
        url: str,
        retries: Retries,
        term_seconds: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`loop` is that of the client, and runs in a thread of its own."""
        super().__init__(url)
        self._term_seconds = term_seconds
        self._client = client
        self._retries = retries
        self._loop = loop
        self._clock = clock
        self._lease = BlobLeaseClient(client)
        self._until = 0.0
        self._lost = False
        self._keeping: Future[None] | None = None

    def _take(self) -> bool:
        # An id of ours, so that asking again after a lost answer gets the same lease.
        self._lease = BlobLeaseClient(self._client, lease_id=str(uuid.uuid4()))
        self._lost = False
        if not self._run(self._acquire):
            return False
        self._keeping = asyncio.run_coroutine_threadsafe(self._keep(), self._loop)
        return True

    def _still(self) -> bool:
        if not self._lost and self._clock() >= self._until:
            self._run(self._renew)
        return not self._lost

    def _give(self, remove: bool) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
        with suppress(TrilaneError):
            self._run(lambda: self._end(remove), Retries(_ANSWER_SECONDS))

    def _holder(self) -> str:
        with suppress(AzureError, OSError):
            found: bytes = sync(self._loop, self._read, timeout=_ANSWER_SECONDS)
            return found.decode("utf-8", "replace")
        return ""

    async def _acquire(self) -> bool:
        try:
            await self._client.upload_blob(b"")
        except HttpResponseError as error:
            if error.status_code not in (409, 412):  # it is there; with another's lease
                raise
        asked = self._clock()
        try:
            await self._lease.acquire(self._term_seconds)
        except HttpResponseError as error:
            if error.status_code not in _TAKEN:
                raise
            return False
        self._extend(asked)
        with suppress(AzureError):  # for people only
            await self._client.upload_blob(
                this_process().encode(), overwrite=True, lease=self._lease
            )
        return True

    async def _renew(self) -> None:
        asked = self._clock()
        try:
            await self._lease.renew(retry_total=0)
        except HttpResponseError as error:
            if error.status_code not in _TAKEN:
                raise
            self._lost = True
        else:
            self._extend(asked)

    async def _keep(self) -> None:
        pause = self._term_seconds / 3
        while not self._lost:
            await asyncio.sleep(pause)
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await self._renew()
                pause = self._term_seconds / 3
            except Exception as error:  # whatever it is, the term decides
                pause = _AGAIN_SECONDS
                extra = {"url": self._url, "error": type(error).__name__}
                logger.warning("the lease was not renewed; trying again", extra=extra)

    async def _end(self, remove: bool) -> None:
        if remove:
            await self._client.delete_blob(lease=self._lease)
        else:
            await self._lease.release()

    async def _read(self) -> bytes:
        stream = await self._client.download_blob(0, _MOST_BYTES)
        return await stream.readall()

    def _extend(self, asked: float) -> None:
        self._until = asked + self._term_seconds - _MARGIN_SECONDS

    def _run(
        self, call: Callable[[], Coroutine[Any, Any, Any]], retries: Retries | None = None
    ) -> Any:
        def attempt() -> Any:
            with translated(self._url, "written"):
                return sync(self._loop, call)

        return (retries or self._retries).call(attempt)
