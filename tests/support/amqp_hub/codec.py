"""AMQP's type system (OASIS AMQP 1.0, part 1): Python values to bytes and back.

A number's width is its Python type, see `values`; a plain int is a long. Lists are never written in
the empty encoding, which some clients cannot read as a performative.
"""

import struct
from collections.abc import Callable
from typing import Any
from uuid import UUID

from tests.support.amqp_hub.values import (
    Described,
    Int,
    Strings,
    Symbol,
    Symbols,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)

_FIXED_WIDTHS = {4: 0, 5: 1, 6: 2, 7: 4, 8: 8, 9: 16}
_COUNTED_WIDTHS = {0xA: 1, 0xB: 4, 0xC: 1, 0xD: 4, 0xE: 1, 0xF: 4}


def encode(value: Any) -> bytes:
    """The encoding of a value; KeyError for a Python type that has none here."""
    return _ENCODERS[type(value)](value)


def decode(buffer: bytes, at: int = 0) -> tuple[Any, int]:
    """The value that begins at a place, and where it ends; ValueError for what is no AMQP type."""
    code = buffer[at]
    if code == 0:
        descriptor, at = decode(buffer, at + 1)
        value, at = decode(buffer, at)
        return Described(descriptor, value), at
    end = value_end(buffer, at)
    if code in _CONSTANTS:
        return _CONSTANTS[code], end
    if code in _STRUCTS:
        kind, layout = _STRUCTS[code]
        return kind(layout.unpack_from(buffer, at + 1)[0]), end
    width = _COUNTED_WIDTHS.get(code >> 4, 0)
    if code in _VARIABLE:
        return _VARIABLE[code](buffer[at + 1 + width : end]), end
    if code >> 4 in (0xC, 0xD):
        count, at = _number(buffer, at + 1 + width, width)
        return (_items(buffer, at, count) if code & 0xF == 0 else _map(buffer, at, count)), end
    if code >> 4 in (0xE, 0xF):
        return _array(buffer, at + 1 + width, width), end
    return buffer[at + 1 : end], end  # decimals and chars: nobody here reads them


def value_end(buffer: bytes, at: int) -> int:
    """Where the value that begins at a place ends, without decoding it."""
    code = buffer[at]
    if code == 0:
        return value_end(buffer, value_end(buffer, at + 1))
    group = code >> 4
    if group in _FIXED_WIDTHS:
        end = at + 1 + _FIXED_WIDTHS[group]
    elif group in _COUNTED_WIDTHS:
        size, begin = _number(buffer, at + 1, _COUNTED_WIDTHS[group])
        end = begin + size
    else:
        raise ValueError(f"0x{code:02x} is no AMQP constructor")
    if end > len(buffer):
        raise ValueError("a value ends after its frame")
    return end


def items_of(buffer: bytes, at: int) -> tuple[int, int]:
    """The number of items in the list or map at a place, and where the first begins."""
    if buffer[at] == 0x45:
        return 0, at + 1
    width = _COUNTED_WIDTHS[buffer[at] >> 4]
    return _number(buffer, at + 1 + width, width)


def compound(code8: int, count: int, items: bytes) -> bytes:
    """A list (0xc0) or map (0xc1) of encoded items, in the smaller of its two encodings."""
    if len(items) < 255 and count < 256:
        return bytes((code8, len(items) + 1, count)) + items
    return struct.pack(">BII", code8 + 0x10, len(items) + 4, count) + items


def described(code: int, value: bytes) -> bytes:
    """An encoded value behind a numeric descriptor below 256."""
    return bytes((0, 0x53, code)) + value


def _number(buffer: bytes, at: int, width: int) -> tuple[int, int]:
    return int.from_bytes(buffer[at : at + width], "big"), at + width


def _items(buffer: bytes, at: int, count: int) -> list[Any]:
    items = []
    for _ in range(count):
        item, at = decode(buffer, at)
        items.append(item)
    return items


def _map(buffer: bytes, at: int, count: int) -> dict[Any, Any]:
    items = _items(buffer, at, count)
    return dict(zip(items[::2], items[1::2], strict=True))


def _array(buffer: bytes, at: int, width: int) -> list[Any]:
    count, at = _number(buffer, at, width)
    constructor, values = buffer[at : at + 1], []
    at += 1
    for _ in range(count):  # each item as if it had its constructor in front
        value, size = decode(constructor + buffer[at:])
        values.append(value)
        at += size - 1
    return values


def _packed(code: int, layout: str) -> Callable[[int], bytes]:
    pack = struct.Struct(f">B{layout}").pack
    return lambda value: pack(code, value)


def _sized(code8: int, data: bytes) -> bytes:
    if len(data) < 256:
        return bytes((code8, len(data))) + data
    return struct.pack(">BI", code8 + 0x10, len(data)) + data


def _array_of(code: int, values: tuple[str, ...]) -> bytes:
    items = b"".join(struct.pack(">I", len(v.encode())) + v.encode() for v in values)
    return struct.pack(">BIIB", 0xF0, len(items) + 5, len(values), code) + items


_CONSTANTS: dict[int, Any] = {
    0x40: None,
    0x41: True,
    0x42: False,
    0x43: UInt(0),
    0x44: ULong(0),
}
_STRUCTS: dict[int, tuple[Callable[[Any], Any], struct.Struct]] = {
    code: (kind, struct.Struct(layout))
    for code, kind, layout in (
        (0x50, UByte, ">B"),
        (0x51, int, ">b"),
        (0x52, UInt, ">B"),
        (0x53, ULong, ">B"),
        (0x54, Int, ">b"),
        (0x55, int, ">b"),
        (0x56, bool, ">?"),
        (0x60, UShort, ">H"),
        (0x61, int, ">h"),
        (0x70, UInt, ">I"),
        (0x71, Int, ">i"),
        (0x72, float, ">f"),
        (0x80, ULong, ">Q"),
        (0x81, int, ">q"),
        (0x82, float, ">d"),
        (0x83, Timestamp, ">q"),
    )
}
_VARIABLE: dict[int, Callable[[bytes], Any]] = {
    0x45: lambda _: [],
    0x98: lambda data: UUID(bytes=data),
    **dict.fromkeys((0xA0, 0xB0), bytes),
    **dict.fromkeys((0xA1, 0xB1), lambda data: data.decode()),
    **dict.fromkeys((0xA3, 0xB3), lambda data: Symbol(data.decode("ascii"))),
}
_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"\x40",
    bool: lambda value: b"\x41" if value else b"\x42",
    UByte: _packed(0x50, "B"),
    UShort: _packed(0x60, "H"),
    UInt: _packed(0x70, "I"),
    ULong: _packed(0x80, "Q"),
    Int: _packed(0x71, "i"),
    int: _packed(0x81, "q"),
    Timestamp: _packed(0x83, "q"),
    UUID: lambda value: b"\x98" + value.bytes,
    bytes: lambda value: _sized(0xA0, value),
    str: lambda value: _sized(0xA1, value.encode()),
    Symbol: lambda value: _sized(0xA3, value.encode("ascii")),
    Symbols: lambda value: _array_of(0xB3, value),
    Strings: lambda value: _array_of(0xB1, value),
    list: lambda value: compound(0xC0, len(value), b"".join(map(encode, value))),
    dict: lambda value: compound(
        0xC1, 2 * len(value), b"".join(encode(k) + encode(v) for k, v in value.items())
    ),
    Described: lambda value: b"\0" + encode(value.descriptor) + encode(value.value),
}
