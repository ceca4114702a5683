"""Frames and performatives (OASIS AMQP 1.0, part 2): a header, a described list, a payload.

Performatives are written with all their fields, trailing nulls too: clients index them.
"""

import struct
from typing import Any

from tests.support.amqp_hub.codec import decode, described, encode
from tests.support.amqp_hub.values import Described, Symbol, ULong

AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
HEADER_BYTES = 8
MIN_MAX_FRAME_BYTES = 512
MAX_FRAME_BYTES = 65_536
"""What the service takes and what this one announces; larger messages come in several frames."""

OPEN, BEGIN, ATTACH, FLOW, TRANSFER = 0x10, 0x11, 0x12, 0x13, 0x14
DISPOSITION, DETACH, END, CLOSE = 0x15, 0x16, 0x17, 0x18
SASL_MECHANISMS, SASL_INIT, SASL_OUTCOME = 0x40, 0x41, 0x44
ERROR, ACCEPTED, REJECTED, SOURCE, TARGET = 0x1D, 0x24, 0x25, 0x28, 0x29

FIELDS = {
    OPEN: 10,
    BEGIN: 8,
    ATTACH: 14,
    FLOW: 11,
    TRANSFER: 11,
    DISPOSITION: 6,
    DETACH: 3,
    END: 1,
    CLOSE: 1,
    SASL_MECHANISMS: 1,
    SASL_INIT: 3,
    SASL_OUTCOME: 2,
}
EMPTY_FRAME = struct.pack(">IBBH", 8, 2, 0, 0)


class AmqpError(Exception):
    """What a peer is told: a condition such as `amqp:not-found`, and words."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(f"{condition}: {description}")
        self.condition = condition
        self.description = description

    def described(self) -> Described:
        """The error as it travels in detach, end, close and rejected."""
        return Described(ULong(ERROR), [Symbol(self.condition), self.description, {}])


def frame(channel: int, code: int, fields: list[Any], payload: bytes = b"") -> bytes:
    """One frame; missing fields at the end are null."""
    padded = fields + [None] * (FIELDS[code] - len(fields))
    body = described(code, encode(padded)) + payload
    kind = 1 if code in (SASL_MECHANISMS, SASL_OUTCOME) else 0
    return struct.pack(">IBBH", len(body) + 8, 2, kind, channel) + body


def take_frame(buffer: bytearray) -> tuple[int, int, list[Any], bytes] | None:
    """Take one frame off the front: channel, code, all fields, payload; None for a part of one.

    The code of an empty frame, which only says that the peer lives, is 0. ValueError for anything
    that is no frame.
    """
    if len(buffer) < HEADER_BYTES:
        return None
    size, offset, _, channel = struct.unpack_from(">IBBH", buffer)
    if not HEADER_BYTES <= size <= MAX_FRAME_BYTES or not 2 <= offset <= size // 4:
        raise ValueError("the frame's header is malformed")
    if len(buffer) < size:
        return None
    body = bytes(buffer[4 * offset : size])
    del buffer[:size]
    if not body:
        return channel, 0, [], b""
    performative, end = decode(body)
    if not isinstance(performative, Described) or performative.descriptor not in FIELDS:
        raise ValueError("the frame holds no performative")
    code, fields = int(performative.descriptor), performative.value
    return channel, code, fields + [None] * (FIELDS[code] - len(fields)), body[end:]
