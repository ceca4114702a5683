"""Tensors of the Open Inference Protocol as values that validation takes.

A tensor holds what its datatype can hold: the same values as JSON and as bytes give the same bits.
A null in JSON, which the protocol does not forbid, is a null.
"""

import struct
from collections.abc import Sequence
from itertools import chain
from types import NoneType
from typing import Any, Final

import numpy as np

from scoring.records import Column
from scoring.values import Values

BYTES: Final = "BYTES"
_BOOL: Final = "BOOL"
DATATYPES: Final[dict[str, np.dtype[Any]]] = {
    _BOOL: np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""Besides BYTES, whose elements are text in UTF-8."""

_LENGTH: Final = struct.Struct("<I")


class TensorError(Exception):
    """The rule that a tensor broke; it goes after the tensor's name."""


def read_json_data(data: Any, shape: Sequence[int], datatype: str) -> Values:
    """The elements, row-major. `data` is flat or nested as the shape says. Raises TensorError."""
    flat = _flat(data, shape)
    if len(flat) != _count(shape):
        raise TensorError("must have as many elements as its shape says")
    found = set(map(type, flat))
    plain, words = _plain(datatype)
    if not found <= plain | {NoneType}:
        raise TensorError(f"must hold {words}, as its datatype is {datatype}")
    if NoneType not in found:
        return _typed(flat, datatype)
    values = _typed([value for value in flat if value is not None], datatype)
    rest = iter(values.tolist() if isinstance(values, np.ndarray) else values)
    return [None if value is None else next(rest) for value in flat]


def read_binary_data(data: memoryview, shape: Sequence[int], datatype: str) -> Values:
    """The elements of little-endian bytes, row-major. Raises TensorError."""
    count = _count(shape)
    if datatype == BYTES:
        return _texts(data, count)
    dtype = DATATYPES[datatype]
    if len(data) != count * dtype.itemsize:
        raise TensorError("must have as many bytes as its shape and datatype say")
    if datatype != _BOOL:
        return _widened(np.frombuffer(data, dtype).astype(dtype.newbyteorder("=")))
    flags = np.frombuffer(data, np.uint8)
    if len(flags) and flags.max() > 1:
        raise TensorError("must hold bytes that are 0 or 1, as its datatype is BOOL")
    return flags.astype(np.bool_)


def write_binary_data(values: Column, datatype: str) -> bytes:
    """The bytes of an output."""
    if datatype != BYTES:
        return values.astype(DATATYPES[datatype]).tobytes()
    texts = [text.encode() for text in values.tolist()]
    return b"".join(chain.from_iterable((_LENGTH.pack(len(text)), text) for text in texts))


def _flat(data: Any, shape: Sequence[int]) -> list[Any]:
    if not isinstance(data, list):
        raise TensorError("must have an array as data")
    if len(shape) != 2 or not any(isinstance(row, list) for row in data):
        return data
    if len(data) != shape[0] or not all(isinstance(r, list) and len(r) == shape[1] for r in data):
        raise TensorError("must be nested as its shape says, or flat")
    return list(chain.from_iterable(data))


def _count(shape: Sequence[int]) -> int:
    return shape[0] * (shape[1] if len(shape) == 2 else 1)


def _plain(datatype: str) -> tuple[set[type], str]:
    if datatype == BYTES:
        return {str}, "strings"
    return ({bool}, "booleans") if datatype == _BOOL else ({int, float}, "numbers")


def _typed(values: list[Any], datatype: str) -> Values:
    if datatype == BYTES:
        return values
    dtype = DATATYPES[datatype]
    if dtype.kind in "iu" and float in set(map(type, values)):
        values = [_whole(value, datatype) for value in values]
    try:
        array = np.array(values, np.float64 if dtype.kind == "f" else dtype)
    except OverflowError:
        raise _beyond(datatype) from None
    with np.errstate(over="ignore"):
        narrow = array.astype(dtype)
    if dtype.kind == "f" and bool((np.isinf(narrow) & np.isfinite(array)).any()):
        raise _beyond(datatype)
    return _widened(narrow)


def _whole(value: float, datatype: str) -> int:
    if isinstance(value, int):
        return value
    if not value.is_integer():
        raise TensorError(f"must hold integers, as its datatype is {datatype}")
    return int(value)


def _beyond(datatype: str) -> TensorError:
    return TensorError(f"must hold numbers that fit its datatype {datatype}")


def _widened(values: Column) -> Column:
    """Unsigned integers as signed ones where they fit, which validation converts at once."""
    return values.astype(np.int64) if values.dtype.kind == "u" and values.itemsize < 8 else values


def _texts(data: memoryview, count: int) -> list[str]:
    texts: list[str] = []
    start = 0
    while start < len(data) and len(texts) < count:
        if len(data) - start < _LENGTH.size:
            break
        (size,) = _LENGTH.unpack_from(data, start)
        end = start + _LENGTH.size + size
        try:
            texts.append(str(data[start + _LENGTH.size : end], "utf-8"))
        except UnicodeDecodeError:
            raise TensorError("must hold text in UTF-8, as its datatype is BYTES") from None
        start = end
    if start != len(data) or len(texts) != count:
        rule = "must have as many elements as its shape says, each after its length in 4 bytes"
        raise TensorError(rule)
    return texts
