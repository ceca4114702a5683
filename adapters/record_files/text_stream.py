"""The text of a file as UTF-8, whatever it is compressed with and encoded in."""

import codecs
from typing import IO, Final

from adapters.record_files.chunks import Source
from adapters.record_files.text_compression import Peekable, Readable, decompressed
from scoring.errors import ConfigurationError

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_MARKED: Final = (  # the longer ones first: that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)
_NOT_TEXT: Final = "trilane.not_text"
_SKIPPED_BYTES: Final = 1 << 20


class TextStream:
    """UTF-8 without a byte order mark, read once from front to back.

    What cannot be decoded arrives as bytes that are no UTF-8, so that the row they stand in can be
    told. `encoding` names the encoding for people.
    """

    def __init__(self, file: IO[bytes], source: Source, encoding: str = "auto") -> None:
        """`encoding` as in `CsvDialect`. Raises ConfigurationError when there is no such encoding,
        InputError when a compressed file is damaged. Blocks on the file.
        """
        self._size = source.size
        self._file = _Counted(file)
        packed = Peekable(self._file.read)
        unpacked = decompressed(packed, source.url)
        data = packed if unpacked is None else Peekable(unpacked.read)
        codec, self.encoding = codec_of(encoding, data.peek(4))
        self._data = data if codec is None else Peekable(_Recoded(data, codec).read)
        self._seekable = unpacked is None and codec is None and self._file.begin is not None
        self._mark = 0
        if self._data.peek(len(_BYTE_ORDER_MARK)) == _BYTE_ORDER_MARK:
            self._mark = len(self._data.read(len(_BYTE_ORDER_MARK)))
        self._offset = 0

    def share(self) -> float:
        """How much of the file has been read, from 0 to 1."""
        return min(self._file.count / self._size, 1.0) if self._size else 1.0

    def read(self, size: int) -> bytes:
        """The next bytes, at least one and at most `size`; none at the end only.

        Blocks on the file. Raises InputError when a compressed file is damaged or cut.
        """
        data = self._data.read(size)
        self._offset += len(data)
        return data

    def skip(self, count: int) -> None:
        """Go on `count` bytes further, without reading them where the file allows it."""
        goal = self._offset + count
        if self._seekable:
            self._data.forget()
            self._file.seek_to(self._mark + goal)
            self._offset = goal
        while self._offset < goal and self.read(min(goal - self._offset, _SKIPPED_BYTES)):
            pass


class _Counted:
    """A file and how much of it has been read. `begin` is where it stood; None without seeking."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        # A read that returns what has come so far keeps the records of a pipe flowing.
        self._read = getattr(file, "read1", file.read)
        self.begin = file.tell() if file.seekable() else None
        self.count = 0

    def read(self, size: int) -> bytes:
        data: bytes = self._read(size)
        self.count += len(data)
        return data

    def seek_to(self, offset: int) -> None:
        self._file.seek((self.begin or 0) + offset)
        self.count = offset


class _Recoded:
    """Text in another encoding as UTF-8."""

    def __init__(self, data: Readable, codec: str) -> None:
        self._data = data
        self._decoder = codecs.getincrementaldecoder(codec)(_NOT_TEXT)
        self._ahead = b""
        self._ended = False

    def read(self, size: int, /) -> bytes:
        while not (self._ahead or self._ended):
            data = self._data.read(size)
            self._ended = not data
            text = self._decoder.decode(data, final=self._ended)
            self._ahead = text.encode("utf-8", "surrogatepass")
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        return data


def _half_a_pair(error: UnicodeError) -> tuple[str, int]:
    """For what cannot be decoded half a surrogate pair, which is no UTF-8 once it is encoded."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udc80", error.end


def codec_of(encoding: str, head: bytes) -> tuple[str | None, str]:
    """Name of the codec, None for UTF-8, and of the encoding for people."""
    codecs.register_error(_NOT_TEXT, _half_a_pair)
    if encoding == "auto":
        found = (marked for marked in _MARKED if head.startswith(marked[0]))
        _, codec, name = next(found, (b"", None, "UTF-8"))
        return codec, name
    try:
        codec = codecs.lookup(encoding).name
        b"a".decode(codec, "replace")  # fails for codecs that do not make text of bytes
        codecs.getincrementaldecoder(codec)(_NOT_TEXT).decode(b"a,b\r\n")
    except (LookupError, ValueError):
        raise ConfigurationError(f"there is no encoding '{encoding}' for text files") from None
    return (None, "UTF-8") if codec in ("utf-8", "utf-8-sig") else (codec, encoding)
