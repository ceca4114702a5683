"""An opened file as Python's readers take it."""

import errno
import io
import os
from collections.abc import Callable
from typing import IO, Any

from adapters.storage.errors import Changed, translated
from adapters.storage.files import Content
from adapters.storage.retries import Retries


def buffered(
    content: Content, reopen: Callable[[], Content], url: str, retries: Retries, buffer_bytes: int
) -> IO[bytes]:
    """A file that reads a content from any position, and closes it. After a read that failed it
    is opened anew, and must be what it was. Reading raises what `translated` does.
    """
    return io.BufferedReader(_OpenedFile(content, reopen, url, retries, buffer_bytes), buffer_bytes)


class _OpenedFile(io.RawIOBase):
    def __init__(
        self,
        content: Content,
        reopen: Callable[[], Content],
        url: str,
        retries: Retries,
        piece_bytes: int,
    ) -> None:
        self._content: Content | None = content
        self._etag, self._size = content.etag, content.size
        self._reopen = reopen
        self._url = url
        self._retries = retries
        self._piece_bytes = piece_bytes
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        # Python's own asks for a few kilobytes at a time.
        return b"".join(iter(lambda: self._next(self._piece_bytes), b""))

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        self._drop()
        super().close()

    def _next(self, count: int) -> bytes:
        data = self._retries.call(lambda: self._read(count))
        self._position += len(data)
        return data

    def _read(self, count: int) -> bytes:
        with translated(self._url, "read"):
            content = self._content or self._reopen()
            self._content = content
            if content.etag != self._etag:
                raise Changed
            try:
                return content.read(self._position, count)
            except BaseException:
                self._drop()
                raise

    def _drop(self) -> None:
        content, self._content = self._content, None
        if content is not None:
            content.close()
