"""Arrow columns as validation takes them."""

from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyarrow import types

from adapters.arrow_types import is_text, is_time
from scoring.values import Coded, Values

_RECORDS_PER_CODE: Final = 8
"""Records that share a distinct value, on average, where codes are worth it."""


def column_values(column: pa.Array, nan_is_null: bool = False) -> Values:
    """An Arrow column as validation takes it: an array or codes when these can be had without
    looking at each value, else a list with None for null.

    Decimals become numbers; dates and timestamps an array of UTC times no finer than microseconds,
    with NaT for null. Values
    of types no feature can hold (lists, structs, binary, times) become empty bytes, which no rule
    lets pass; so does text that is not UTF-8. With `nan_is_null`, where both get the same verdict,
    a null among numbers is NaN.
    """
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if types.is_dictionary(column.type):
        if len(column.dictionary) * _RECORDS_PER_CODE <= len(column):
            return _coded(column)
        column = column.dictionary_decode()
    kind = column.type
    if types.is_boolean(kind):
        return _plain_or_list(column, not column.null_count)
    if types.is_integer(kind) or types.is_floating(kind):
        return _plain_or_list(column, nan_is_null or not column.null_count)
    if is_text(kind):
        return _texts(column)
    if types.is_decimal(kind):
        return [_number(value) for value in column.to_pylist()]
    if is_time(kind):
        return _datetimes(column)
    return [b"" if valid else None for valid in column.is_valid().to_pylist()]


def as_list(values: Values) -> list[Any]:
    """The same as plain Python values."""
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def joined(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece, which shares its values with the chunks when there is but one."""
    if column.num_chunks == 1:
        return column.chunk(0)
    kind = column.type
    # Offsets of 64 bits, as the chunks may hold more than 2 GiB together.
    if types.is_string(kind):
        column = column.cast(pa.large_string())
    elif types.is_binary(kind):
        column = column.cast(pa.large_binary())
    return pa.concat_arrays(column.chunks)


def _coded(column: pa.DictionaryArray) -> Coded:
    distinct = as_list(column_values(column.dictionary))
    codes = column.indices.cast(pa.int32())
    if codes.null_count:
        codes = codes.fill_null(len(distinct))
        distinct.append(None)
    return Coded(distinct, codes.to_numpy())


def _plain_or_list(column: pa.Array, plain: bool) -> Values:
    values: Values = column.to_numpy(zero_copy_only=False) if plain else column.to_pylist()
    return values


def _texts(column: pa.Array) -> list[Any]:
    try:
        texts: list[Any] = column.to_pylist()
    except (UnicodeDecodeError, pa.ArrowException):
        return [_text(raw) for raw in column.cast(pa.large_binary()).to_pylist()]
    return texts


def _text(raw: bytes | None) -> str | bytes | None:
    try:
        return None if raw is None else raw.decode("utf-8")
    except UnicodeDecodeError:
        return b""


def _number(value: Decimal | None) -> float | None:
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)


def _datetimes(column: pa.Array) -> Values:
    """In a unit in which a time is a datetime.datetime, or stays a number beyond what those can
    hold.
    """
    times = column.to_numpy(zero_copy_only=False)
    unit = times.dtype.str[-4:]
    if unit == "[ns]":
        times = times.astype("datetime64[us]")
    elif unit.endswith("[D]"):
        times = times.astype("datetime64[s]")
    values: Values = times
    return values
