"""Python types for what AMQP tells apart and Python does not (OASIS AMQP 1.0, part 1)."""

from dataclasses import dataclass
from typing import Any


class Symbol(str):
    """An ASCII name from a constrained domain."""

    __slots__ = ()


class UByte(int):
    """8 bits, unsigned."""


class UShort(int):
    """16 bits, unsigned."""


class UInt(int):
    """32 bits, unsigned."""


class ULong(int):
    """64 bits, unsigned."""


class Int(int):
    """32 bits, signed."""


class Timestamp(int):
    """Milliseconds since 1970 in UTC."""


class Symbols(tuple[str, ...]):
    """An array of symbols."""

    __slots__ = ()


class Strings(tuple[str, ...]):
    """An array of strings."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Described:
    """A value and the descriptor that says what it stands for."""

    descriptor: Any
    value: Any
