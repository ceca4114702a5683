"""Columns of text cells to values: what `scoring.text.parse_cell` makes of each, many at a time."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from adapters.record_files.csv_scan import byte_table
from scoring.schema import FieldType
from scoring.text import parse_cell
from scoring.values import Coded, Values

Decimal = Literal[".", ","]

_WHOLE: Final = frozenset({FieldType.INTEGER, FieldType.LONG})
_NUMBERS: Final = _WHOLE | {FieldType.FLOAT, FieldType.DOUBLE}
_AS_IS: Final = frozenset({FieldType.STRING, FieldType.DATETIME})
_SAMPLE: Final = 2048

_OF_INTEGERS: Final = byte_table(b"0123456789-")
_OF_DECIMALS: Final = {
    ".": byte_table(b"0123456789+-eE."),
    ",": byte_table(b"0123456789+-eE,"),
}


def cell_parser(kind: FieldType, decimal: Decimal) -> Callable[[str], object]:
    """`parse_cell` for one type, with another decimal separator where numbers have one."""
    if decimal == "." or kind not in _NUMBERS:
        return partial(parse_cell, kind)

    def parse(text: str) -> object:
        value = text if "." in text else parse_cell(kind, text.replace(decimal, "."))
        return text if isinstance(value, str) else value

    return parse


def cell_values(cells: pa.ChunkedArray, kind: FieldType, decimal: Decimal) -> Values:
    """The values of cells, which are large strings without nulls: codes where few differ, an array
    of numbers where that says the same, else plain values.
    """
    parse = cell_parser(kind, decimal)
    coded = _coded(cells, parse)
    if coded is not None:
        return coded
    column = cells.combine_chunks()
    if kind in _AS_IS:
        return texts(column)
    numbers = _numbers(column, kind in _WHOLE, decimal) if kind in _NUMBERS else None
    return _parsed(column, parse) if numbers is None else numbers


def texts(column: pa.LargeStringArray | pa.ChunkedArray) -> list[str | None]:
    """The cells as they are, None for empty ones."""
    found: list[str | None] = _nulled(column).to_numpy(zero_copy_only=False).tolist()
    return found


def _parsed(column: pa.LargeStringArray, parse: Callable[[str], object]) -> list[object]:
    return [parse(text) for text in column.to_numpy(zero_copy_only=False).tolist()]


def _coded(cells: pa.ChunkedArray, parse: Callable[[str], object]) -> Coded | None:
    """None when more than one cell in eight differs from those before it."""
    count = len(cells)
    if count > _SAMPLE and len(cells[:_SAMPLE].unique()) > 0.9 * _SAMPLE:
        return None
    encoded = cells.dictionary_encode().combine_chunks()
    if len(encoded.dictionary) > count / 8:
        return None
    distinct = [parse(text) for text in encoded.dictionary.to_pylist()]
    return Coded(distinct, encoded.indices.to_numpy())


def _numbers(column: pa.LargeStringArray, whole: bool, decimal: Decimal) -> Values | None:
    """None when Arrow might read a cell otherwise than `parse_cell`, or cannot read it."""
    data = _bytes(column)
    cells = _nulled(column)
    if bool(_OF_INTEGERS[data].all()):
        integers = _cast(cells, pa.int64())
        if integers is not None:
            return _with_nulls(integers, cells)
    if whole or not bool(_OF_DECIMALS[decimal][data].all()):
        return None
    floats = _cast(cells if decimal == "." else pc.replace_substring(cells, ",", "."), pa.float64())
    if floats is None or not bool(np.isfinite(floats).all()):
        return None
    return _with_nulls(_zeros_checked(floats, column, decimal), cells)


def _cast(cells: pa.LargeStringArray, kind: pa.DataType) -> NDArray[Any] | None:
    """With 0 for null; None when a cell does not fit."""
    try:
        values: NDArray[Any] = cells.cast(kind).fill_null(0).to_numpy()
    except pa.ArrowInvalid:
        return None
    return values


def _zeros_checked(
    floats: NDArray[Any], column: pa.LargeStringArray, decimal: Decimal
) -> NDArray[Any]:
    """`-0` is an integer, which has no sign; `-0.0` is a float, which has."""
    negative = np.flatnonzero((floats == 0) & np.signbit(floats)).tolist()
    if negative:
        parse, floats = cell_parser(FieldType.DOUBLE, decimal), floats.copy()
        for place in negative:
            floats[place] = parse(column[place].as_py())
    return floats


def _with_nulls(values: NDArray[Any], cells: pa.LargeStringArray) -> Values:
    if not cells.null_count:
        return values
    listed: list[Any] = values.tolist()
    for place in np.flatnonzero(cells.is_null().to_numpy(zero_copy_only=False)).tolist():
        listed[place] = None
    return listed


def _nulled(column: pa.LargeStringArray) -> pa.LargeStringArray:
    """With a null in place of every empty cell."""
    empty = pc.equal(pc.binary_length(column), 0)
    return pc.if_else(empty, None, column) if pc.any(empty).as_py() else column


def _bytes(column: pa.LargeStringArray) -> NDArray[np.uint8]:
    """All cells behind one another."""
    _, places, data = column.buffers()
    if data is None:
        return np.empty(0, dtype=np.uint8)
    ends = np.frombuffer(places, dtype=np.int64)[column.offset : column.offset + len(column) + 1]
    return np.frombuffer(data, dtype=np.uint8)[ends[0] : ends[-1]]
