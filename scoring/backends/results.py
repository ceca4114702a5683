"""What a model's `predict` returned, in any of the forms MLflow allows, as named columns.

Forms: a table (DataFrame, dict of arrays, list of dicts) whose columns have names, or values
(array, Series, list) that have only places. A column of vectors is spread out: `p` becomes `p_0`,
`p_1` and so on. Cells become bool, int64 or float64 arrays, or objects: Python values, text,
ISO 8601 for times, and None for every kind of null where the array could not hold one.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np

from scoring.errors import BundleError, ModelError
from scoring.records import Column

Named = list[tuple[Any, Column]]


def raw_names(result: Any, classes: Sequence[str] | None) -> list[str]:
    """The raw column names of a trial result: the model's own, its class labels, or numbers.

    Raises BundleError, saying what to change, for names that cannot be used, and for a result that
    is no column per output and no value per record.
    """
    try:
        named = _named(result)
        values = _array(result) if named is None else None
    except ModelError as error:
        raise BundleError(str(error)) from None
    if named is not None:
        return _usable([name for key, column in named for name, _ in _spread(key, column)])
    if values is None or values.ndim not in (1, 2):
        raise BundleError("the model must return one value or one row of values per record")
    width = 1 if values.ndim == 1 else values.shape[1]
    if width == 1:
        return ["prediction"]
    if classes is not None and len(classes) == width:
        return _usable([str(label) for label in classes])
    return [f"prediction_{i}" for i in range(width)]


def raw_columns(result: Any, names: Sequence[str], count: int) -> Mapping[str, Column]:
    """A result as columns of shape (count,), by name.

    Raises ModelError when it does not hold one value per record and name, or one that has no form
    as an output.
    """
    named = _named(result)
    if named is None:
        columns = dict(zip(names, _by_place(result, len(names)), strict=True))
    else:
        columns = {name: c for key, column in named for name, c in _spread(key, column)}
    for name in names:
        if name not in columns or columns[name].shape != (count,):
            raise ModelError(f"the model did not return one value of '{name}' per record")
    return {name: _plain(name, columns[name]) for name in names}


def joined(parts: Sequence[Column]) -> Column:
    """Columns end to end. Where their kinds differ, as objects, so that no number turns to text."""
    alike = len({part.dtype.kind for part in parts}) == 1
    return np.concatenate(parts if alike else [part.astype(object) for part in parts])


def _named(result: Any) -> Named | None:
    """The columns of a table, or None when the result has no names."""
    if isinstance(result, Mapping):
        return [(name, _array(values)) for name, values in result.items()]
    if hasattr(result, "columns") and hasattr(result, "items"):
        named = [(name, _array(values)) for name, values in result.items()]
        # A DataFrame made from an array counts its columns: these are places, not names.
        return None if [name for name, _ in named] == list(range(len(named))) else named
    if isinstance(result, list) and result and all(isinstance(row, Mapping) for row in result):
        return [(name, _objects([row.get(name) for row in result])) for name in result[0]]
    return None


def _by_place(result: Any, width: int) -> list[Column]:
    values = _array(result)
    if values.ndim == 1:
        values = values[:, np.newaxis]
    if values.ndim != 2 or values.shape[1] != width:
        raise ModelError(f"the model did not return {width} values per record")
    return list(values.T)


def _spread(key: Any, values: Column) -> Named:
    """A column under its name, or each column of a matrix under the name and a number."""
    if values.ndim == 2 and values.shape[1] == 1 and values.dtype != object:
        return [(key, values[:, 0])]
    if values.ndim != 2:
        return [(key, values)]
    return [(f"{key}_{place}", column) for place, column in enumerate(values.T)]


def _usable(names: Sequence[Any]) -> list[str]:
    for name in names:
        if not isinstance(name, str) or not name:
            raise BundleError("the model returns a column whose name is no string, or empty")
        if names.count(name) > 1:
            raise BundleError(f"the model returns two columns '{name}'; rename one")
    return list(names)


def _array(values: Any) -> Column:
    """An array of one or two dimensions as it is; everything else as objects, which NumPy would
    turn into text where one of them is text.
    """
    if hasattr(values, "toarray"):
        return np.asarray(values.toarray())
    if hasattr(values, "to_numpy"):
        # pandas' own dtypes would become floats where they hold a null.
        plain = isinstance(getattr(values, "dtype", None), np.dtype) or hasattr(values, "columns")
        values = (values if plain else values.astype(object)).to_numpy()
    if isinstance(values, list | tuple):
        return _objects(values)
    array = np.asarray(values)
    return _objects(array.tolist()) if array.dtype == object and array.ndim == 1 else array


def _objects(items: Sequence[Any]) -> Column:
    """One object per item; a matrix when the items are vectors of one length."""
    if items and all(isinstance(item, list | tuple | np.ndarray) for item in items):
        rows = [item.tolist() if isinstance(item, np.ndarray) else list(item) for item in items]
        if all(isinstance(row, list) and len(row) == len(rows[0]) for row in rows):
            table = np.empty((len(rows), len(rows[0])), dtype=object)
            for place, row in enumerate(rows):
                table[place] = row
            return table
        raise ModelError("the model returned vectors of several lengths for one output")
    column = np.empty(len(items), dtype=object)
    column[:] = items
    return column


def _plain(name: str, values: Column) -> Column:
    convert = _CONVERTED.get(values.dtype.kind)
    if convert is None:
        raise ModelError(f"the model returned values of '{name}' of a type that is no output")
    column = convert(values)
    if column is None:
        raise ModelError(f"the model returned a value of '{name}' that is no output")
    return column


def _from_unsigned(values: Column) -> Column | None:
    fits = not len(values) or int(values.max()) <= np.iinfo(np.int64).max
    return values.astype(np.int64) if fits else None


def _from_times(values: Column) -> Column | None:
    """To the microsecond, as NumPy's clock has more digits than ISO 8601 in most readers."""
    exact = values.astype("datetime64[us]") if values.dtype.str[-4:] == "[ns]" else values
    return _from_objects(np.array(exact.tolist(), dtype=object))


def _from_objects(values: Column) -> Column | None:
    cells = [_cell(value) for value in values.tolist()]
    if any(cell is _NO_OUTPUT for cell in cells):
        return None
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {bool} and None not in cells:
        return np.array(cells, dtype=np.bool_)
    if kinds == {int} and None not in cells:
        return np.array(cells, dtype=np.int64)
    if kinds in ({float}, {int, float}):
        return np.array(cells, dtype=np.float64)
    if len(kinds) > 1:
        cells = [None if cell is None else str(cell) for cell in cells]
    column = np.empty(len(cells), dtype=object)
    column[:] = cells
    return column


_NO_OUTPUT: Final = object()


def _cell(value: Any) -> Any:
    """A bool, int, float, str or None; `_NO_OUTPUT` for anything else."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else _NO_OUTPUT
    if isinstance(value, float):
        return None if value != value else value
    if isinstance(value, Decimal):
        return None if value.is_nan() else float(value)
    return value.isoformat() if isinstance(value, datetime | date) else _NO_OUTPUT


_CONVERTED: Final[Mapping[str, Callable[[Column], Column | None]]] = {
    "b": lambda values: values,
    "i": lambda values: values.astype(np.int64),
    "u": _from_unsigned,
    "f": lambda values: values.astype(np.float64),
    "M": _from_times,
    "U": lambda values: values.astype(object),
    "T": _from_objects,
    "O": _from_objects,
}
"""By the kind of NumPy's dtype; bytes, complex numbers and records are no outputs."""
