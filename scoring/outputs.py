"""Raw columns to the outputs a bundle promises, value by value: of the promised type, and no null.

A model may return other types than it did at packaging (text for numbers, nulls), and NumPy would
turn most into something: `None` into the text "None", 2.7 into 2, "No" into true.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from scoring.errors import ModelError
from scoring.manifest import OutputSpec
from scoring.records import Column

OUTPUT_DTYPES: Final[Mapping[str, np.dtype[np.generic]]] = {
    "double": np.dtype(np.float64),
    "long": np.dtype(np.int64),
    "boolean": np.dtype(np.bool_),
    "string": np.dtype(np.object_),
}
"""By `OutputColumn.type`, the dtype of an output."""


def model_outputs(spec: OutputSpec, raw: Mapping[str, Column]) -> dict[str, Column]:
    """The outputs by name, each of the raw columns' shape and of its type in `OUTPUT_DTYPES`.

    Raises ModelError, naming the column, when one is absent or holds a value of another type, a
    null or a number that is not finite.
    """
    for name in spec.raw:
        if name not in raw:
            raise ModelError(f"the model returned no column '{name}'")
    if spec.kind == "binary" and spec.positive is not None:
        scores = typed_output("score", "double", raw[spec.positive])
        labels = np.empty(len(scores), dtype=object)
        labels[:] = spec.negative
        labels[scores >= (0.5 if spec.threshold is None else spec.threshold)] = spec.positive
        return {"score": scores, "label": labels}
    return {
        column.name: typed_output(column.name, column.type, raw[name])
        for column, name in zip(spec.columns, spec.raw, strict=True)
    }


def typed_output(name: str, kind: str, values: Column) -> Column:
    """One column to the dtype of `kind`. Raises ModelError naming it."""
    if values.dtype.kind in "US":
        values = values.astype(np.str_).astype(object)
    try:
        column = _TYPED[kind](values)
    except OverflowError:
        column = None
    if column is None:
        rule = "a finite number" if kind == "double" else f"a {kind}"
        raise ModelError(f"the model returned a value of '{name}' that is not {rule}")
    return column


def _double(values: Column) -> Column | None:
    if not _holds(values, "fiub", (float, int)):
        return None
    column = values.astype(np.float64)
    return column if bool(np.isfinite(column).all()) else None


def _long(values: Column) -> Column | None:
    if values.dtype.kind in "ib":
        return values.astype(np.int64)
    if not _holds(values, "fu", (int, float)):
        return None
    whole = [int(v) for v in values.tolist() if np.isfinite(v) and v == int(v)]
    fits = len(whole) == len(values) and all(-(2**63) <= v < 2**63 for v in whole)
    return np.array(whole, dtype=np.int64) if fits else None


def _boolean(values: Column) -> Column | None:
    return values.astype(np.bool_) if _holds(values, "b", (bool,)) else None


def _string(values: Column) -> Column | None:
    if not _holds(values, "bi", (str, bool, int)):
        return None
    column = np.empty(len(values), dtype=object)
    column[:] = [str(v) for v in values.tolist()]
    return column


def _holds(values: Column, kinds: str, types: tuple[type, ...]) -> bool:
    """Whether the array is of one of NumPy's `kinds`, or of objects of these types."""
    if values.dtype.kind in kinds:
        return True
    return values.dtype == object and all(isinstance(v, types) for v in values.tolist())


_TYPED: Final[Mapping[str, Callable[[Column], Column | None]]] = {
    "double": _double,
    "long": _long,
    "boolean": _boolean,
    "string": _string,
}
