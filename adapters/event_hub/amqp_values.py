"""Values in AMQP 1.0's own encoding, as text.

A constructor byte, the length where it varies, and the value, big-endian: AMQP 1.0 part 1, "Types",
section 1.6 (docs.oasis-open.org/amqp/core/v1.0). Two described types are those that .NET clients
write for `Uri` and `DateTimeOffset` ("Use Service Bus from .NET with AMQP 1.0",
learn.microsoft.com).
"""

from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Final
from uuid import UUID

_CONSTANTS: Final = {
    b"\x40": b"", b"\x41": b"true", b"\x42": b"false", b"\x43": b"0", b"\x44": b"0",
    b"\x56\x01": b"true", b"\x56\x00": b"false",
}  # fmt: skip
_NUMBERS: Final = {
    constructor: Struct(">" + code)
    for constructor, code in (
        (0x50, "B"), (0x52, "B"), (0x53, "B"), (0x60, "H"), (0x70, "I"), (0x80, "Q"),
        (0x51, "b"), (0x54, "b"), (0x55, "b"), (0x61, "h"), (0x71, "i"), (0x81, "q"),
        (0x72, "f"), (0x82, "d"),
    )
}  # fmt: skip
_BINARY: Final = (0xA0, 0xB0)
_STRINGS: Final = (b"\xa1", b"\xb1")
_LENGTH_BYTES: Final = {0xA0: 1, 0xA1: 1, 0xA3: 1, 0xB0: 4, 0xB1: 4, 0xB3: 4}
_CHARACTER: Final = 0x73
_TIMESTAMP: Final = 0x83
_UUID: Final = 0x98
_LONG: Final = Struct(">q")

_NET_URI: Final = b"\x00\xa3\x11com.microsoft:uri"
_NET_TIME: Final = b"\x00\xa3\x1dcom.microsoft:datetime-offset\x81"
_UNIX: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NET: Final = datetime(1, 1, 1, tzinfo=UTC)
_TICKS_PER_MICROSECOND: Final = 10


def text_of(encoded: bytes) -> bytes | None:
    """The one value that these bytes encode: numbers in decimal, `true` and `false`, times as RFC
    3339 in UTC, null as nothing, binary as it is.

    None when they encode no value, or more than one, or one of a type that has no text (decimal,
    list, map, array).
    """
    if encoded in _CONSTANTS:
        return _CONSTANTS[encoded]
    if encoded.startswith(_NET_URI):
        text = encoded[len(_NET_URI) :]
        return _variable(text[0], text[1:]) if text[:1] in _STRINGS else None
    if encoded.startswith(_NET_TIME):
        return _net_time(encoded[len(_NET_TIME) :])
    constructor, rest = encoded[:1], encoded[1:]
    if not constructor:
        return None
    if constructor[0] in _LENGTH_BYTES:
        return _variable(constructor[0], rest)
    return _fixed(constructor[0], rest)


def _variable(constructor: int, rest: bytes) -> bytes | None:
    width = _LENGTH_BYTES[constructor]
    value = rest[width:]
    if len(rest) < width or len(value) != int.from_bytes(rest[:width]):
        return None
    return value if constructor in _BINARY or _is_text(value) else None


def _fixed(constructor: int, rest: bytes) -> bytes | None:
    number = _NUMBERS.get(constructor)
    if number is not None:
        return str(number.unpack(rest)[0]).encode() if len(rest) == number.size else None
    if constructor == _TIMESTAMP and len(rest) == _LONG.size:
        return _time(_UNIX, timedelta(milliseconds=1), _LONG.unpack(rest)[0])
    if constructor == _UUID and len(rest) == 16:
        return str(UUID(bytes=rest)).encode()
    if constructor == _CHARACTER and len(rest) == 4:
        return _character(rest)
    return None


def _net_time(rest: bytes) -> bytes | None:
    if len(rest) != _LONG.size:
        return None
    microseconds = _LONG.unpack(rest)[0] // _TICKS_PER_MICROSECOND
    return _time(_NET, timedelta(microseconds=1), microseconds)


def _time(epoch: datetime, unit: timedelta, count: int) -> bytes | None:
    try:
        return (epoch + unit * count).isoformat().replace("+00:00", "Z").encode()
    except OverflowError:  # before year 1 or after 9999
        return None


def _character(rest: bytes) -> bytes | None:
    try:
        return rest.decode("utf-32-be").encode()
    except UnicodeDecodeError:
        return None


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
