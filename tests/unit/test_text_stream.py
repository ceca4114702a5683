"""The text of files that are compressed, encoded, damaged, endless or slow."""

import bz2
import gzip
import io
import lzma
import random
import tracemalloc
from collections.abc import Callable, Mapping
from typing import IO, cast

import pyarrow as pa
import pytest

from adapters.record_files.chunks import Source
from adapters.record_files.lines import MAX_ROW_BYTES, TextAhead, lines
from adapters.record_files.text_stream import TextStream
from scoring.errors import ConfigurationError, InputError, StorageUnavailable

Pack = Callable[[bytes], bytes]


def zstd(data: bytes) -> bytes:
    """One frame of Zstandard."""
    return cast(bytes, pa.compress(data, "zstd", asbytes=True))


PACKS: Mapping[str, Pack] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "zstd": zstd,
    "xz": lzma.compress,
}
TEXT = "".join(f"{n},é€,{random.Random(n).random()}\n" for n in range(5_000)).encode()


class Slow(io.RawIOBase):
    """A file that cannot be sought in and gives a few bytes at a time, then fails if it is to."""

    def __init__(self, data: bytes, piece: int, error: Exception | None = None) -> None:
        self._data = io.BytesIO(data)
        self._piece = piece
        self._error = error

    def seekable(self) -> bool:
        """It is not."""
        return False

    def read(self, size: int = -1, /) -> bytes:
        """The next few bytes."""
        data = self._data.read(min(size, self._piece))
        if not data and self._error is not None:
            raise self._error
        return data


def stream(data: bytes, encoding: str = "auto") -> TextStream:
    """The text of a file in memory."""
    return TextStream(io.BytesIO(data), Source("memory://f", len(data)), encoding)


def rest(text: TextStream, size: int = 1000) -> bytes:
    """Everything that comes."""
    return b"".join(iter(lambda: text.read(size), b""))


@pytest.mark.parametrize("name", PACKS)
def test_compressed_text_is_read_whatever_the_file_is_called(name: str) -> None:
    """The content says what it is; several members are one text, and empty ones are nothing."""
    pack = PACKS[name]
    whole = pack(TEXT[:1000]) + pack(b"") + pack(TEXT[1000:])
    assert rest(stream(whole)) == TEXT
    assert rest(stream(pack(b""))) == b""
    assert rest(TextStream(cast(IO[bytes], Slow(whole, 70)), Source("f"))) == TEXT


def test_frames_of_zstandard_that_hold_no_text_are_skipped() -> None:
    """Some writers begin with one (RFC 8878, 3.1.2)."""
    skippable = b"\x5a\x2a\x4d\x18\x03\x00\x00\x00abc"
    assert rest(stream(skippable + zstd(b"x") + skippable + zstd(b"y"))) == b"xy"


@pytest.mark.parametrize("name", PACKS)
def test_a_damaged_file_is_named(name: str) -> None:
    """One that ends early or holds something else is no text; the error names file and format."""
    packed = PACKS[name](TEXT)
    spoilt = packed[:200] + bytes(200) + packed[400:]
    noticed = [spoilt] if name != "zstd" else []  # whose frames need not have a checksum
    for data in (packed[:-1], packed[: len(packed) // 2], packed[:12], *noticed):
        with pytest.raises(InputError, match=rf"memory://f cannot be read as {name}: it is damage"):
            rest(stream(data))


@pytest.mark.parametrize("error", [StorageUnavailable("no answer"), OSError(5, "unreadable")])
@pytest.mark.parametrize("name", PACKS)
def test_a_file_that_fails_is_not_called_damaged(name: str, error: Exception) -> None:
    """What the file raises comes through as it is."""
    file = cast(IO[bytes], Slow(PACKS[name](TEXT)[:3000], 100, error))
    with pytest.raises(type(error)) as raised:
        rest(TextStream(file, Source("f")))
    assert raised.value is error


@pytest.mark.parametrize("data", [b"", b"B", b"BZh1,BZh2\n", b"P*", b"id\x1f\x8b\n", b"\xfd7z,x\n"])
def test_text_that_begins_like_something_else_is_text(data: bytes) -> None:
    """A few bytes that compressed files begin with do not make one."""
    assert rest(stream(data)) == data


@pytest.mark.parametrize(
    ("encoding", "codec", "name"),
    [
        ("auto", "utf-8", "UTF-8"),
        ("auto", "utf-8-sig", "UTF-8"),
        ("auto", "utf-16", "UTF-16"),
        ("auto", "utf-32", "UTF-32"),
        ("utf-16-be", "utf-16-be", "utf-16-be"),
        ("UTF8", "utf-8-sig", "UTF-8"),
        ("cp1252", "cp1252", "cp1252"),
        ("iso-8859-15", "latin9", "iso-8859-15"),
        ("shift_jis", "shift_jis", "shift_jis"),
    ],
)
def test_every_encoding_arrives_as_utf_8(encoding: str, codec: str, name: str) -> None:
    """Without byte order mark, with characters cut by the ends of what is read."""
    written = "id,ä€\n" if "jis" not in codec else "id,日本\n"
    for size in (1, 2, 3, 1000):
        text = stream(written.encode(codec), encoding)
        assert text.encoding == name
        assert rest(text, size) == written.encode()


@pytest.mark.parametrize("mark", ["utf-16-be", "utf-32-be", "utf-16-le", "utf-32-le"])
def test_a_byte_order_mark_tells_the_order(mark: str) -> None:
    """Of both lengths and in both orders."""
    assert rest(stream("\ufeffid,ä€𝄞\n".encode(mark))) == "id,ä€𝄞\n".encode()


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("cp1252", b"a\nb\x81\nc\n"),
        ("ascii", b"a\nb\xe4\nc\n"),
        ("shift_jis", b"a\nb\x82\nc\n"),
        ("auto", "\ufeffa\nb".encode("utf-16-le") + b"\x00\xd8" + "\nc\n".encode("utf-16-le")),
        ("auto", "\ufeffa\nc\nb".encode("utf-32-be") + b"\x00\x11"),
    ],
)
def test_what_cannot_be_decoded_spoils_its_line_alone(encoding: str, data: bytes) -> None:
    """That line is no UTF-8; the others are what they were."""
    found = rest(stream(data, encoding), 3).splitlines()
    spoilt = [line for line in found if not _is_utf8(line)]
    assert len(spoilt) == 1
    assert spoilt[0].startswith(b"b")
    assert [line for line in found if line not in spoilt] == [b"a", b"c"]


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("encoding", ["no-such", "", "rot13", "base64", "idna", "undefined", "\0"])
def test_an_unknown_encoding_is_a_setting_to_repair(encoding: str) -> None:
    """So is a codec that does not make text of bytes."""
    with pytest.raises(ConfigurationError, match="no encoding"):
        stream(b"a,b\n", encoding)


def as_it_is(data: bytes) -> bytes:
    """Not packed at all."""
    return data


@pytest.mark.parametrize("pack", [as_it_is, *PACKS.values()])
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("piece", [0, 100])
def test_reading_goes_on_further_down(pack: Pack, codec: str, piece: int) -> None:
    """Offsets count the text's bytes as UTF-8, whatever it is in and whether it can be sought."""
    data = pack(TEXT.decode().encode(codec))
    file = cast(IO[bytes], Slow(data, piece)) if piece else io.BytesIO(data)
    text = TextStream(file, Source("f"))
    begin = text.read(10)
    assert TEXT.startswith(begin)
    text.skip(50_000 - len(begin))
    assert rest(text) == TEXT[50_000:]
    text.skip(1)
    assert rest(text) == b""


def test_a_file_is_not_read_where_it_can_be_sought() -> None:
    """Skipping most of it costs no reading, and the share read is that of the place."""
    file = io.BytesIO(TEXT)
    text = TextStream(file, Source("f", len(TEXT)))
    text.skip(len(TEXT) - 100)
    assert file.tell() == len(TEXT) - 100
    assert 0.99 < text.share() < 1
    assert rest(text) == TEXT[-100:]
    assert text.share() == 1


def test_a_file_is_read_from_where_it_stands() -> None:
    """What was read of it before is not of this text."""
    file = io.BytesIO(b"before" + TEXT)
    file.seek(6)
    text = TextStream(file, Source("f"))
    text.skip(1000)
    assert rest(text) == TEXT[1000:]


def test_a_line_of_any_length_is_read_in_little_memory() -> None:
    """It is one line that is too long, here of 64 MiB, and the next is read."""
    data = gzip.compress(b"a\n" + bytes(64 << 20) + b"\nb\n")
    tracemalloc.start()
    found = list(lines(TextAhead(stream(data))))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [b"a\n", None, b"b\n"]
    assert most < 4 * MAX_ROW_BYTES
