"""Which feature is behind each column of an encoded matrix.

scikit-learn's encoders name their outputs after their inputs. In a copy of the encoder every input
is called by one private-use character, and these are read out of the outputs' names.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from scoring.records import Column, RecordBatch

Encode = Callable[[RecordBatch], Column]

_PLANES: Final = (0xF0000, 0x100000)
"""Unicode's two private-use planes, of 65,534 characters each."""


class NotSeparable(Exception):
    """Some column is not made from exactly one feature; the text says what is known."""


def feature_groups(encoder: Any, names: Sequence[str]) -> list[int]:
    """The position in `names`, the model's input columns, of the feature behind each column.

    Raises NotSeparable where a column mixes features (principal components, interactions) or its
    name does not say what it comes from.
    """
    inputs = list(getattr(encoder, "feature_names_in_", names))
    if any(name not in names for name in inputs):
        raise NotSeparable("the encoder takes columns that the signature does not have")
    places = [list(names).index(name) for name in inputs]
    # A category's own name may hold such a character: that one does not change with the plane.
    marked = (_marked(encoder, places, plane) for plane in _PLANES)
    groups = [list(first & second) for first, second in zip(*marked, strict=True)]
    for group in groups:
        if len(group) != 1:
            told = "several features" if group else "no feature that its name tells"
            raise NotSeparable(f"an encoded column comes from {told}")
    return [group[0] for group in groups]


def check_groups(encode: Encode, groups: Sequence[int], batch: RecordBatch) -> None:
    """Give the records each other's values of one feature at a time, and see that only that
    feature's columns change. Raises NotSeparable, ModelError.
    """
    columns = np.asarray(groups, np.intp)
    before = encode(batch)
    shifted = np.roll(np.arange(len(batch)), 1)
    for place, column in enumerate(batch.columns):
        mixed = list(batch.columns)
        mixed[place] = column[shifted]
        after = encode(RecordBatch(batch.record_ids, tuple(mixed)))
        same = (before == after) | (np.isnan(before) & np.isnan(after))
        if bool(np.any(~same.all(axis=0) & (columns != place))):
            raise NotSeparable("an encoded column changes with a feature that its name denies")


def _marked(encoder: Any, places: Sequence[int], plane: int) -> list[set[int]]:
    """For every output column the places whose marks its name holds."""
    marks = np.array([chr(plane + place) for place in places], dtype=object)
    marked = copy.deepcopy(encoder)
    _forget_names(marked, set())
    try:
        outputs = marked.get_feature_names_out(marks)
    except Exception as error:  # encoders of anyone's making raise anything, or have no names
        raise NotSeparable("the encoder does not name its columns after its inputs") from error
    known = {chr(plane + place): place for place in places}
    return [{known[letter] for letter in str(name) if letter in known} for name in outputs]


def _forget_names(part: Any, seen: set[int]) -> None:
    """Take from every estimator below the names it was fitted with, which it would insist on."""
    if id(part) in seen:
        return
    seen.add(id(part))
    if isinstance(part, dict):
        inner = list(part.values())
    elif isinstance(part, list | tuple):
        inner = list(part)
    elif hasattr(part, "get_params") and not isinstance(part, type):
        vars(part).pop("feature_names_in_", None)
        inner = list(vars(part).values())
    else:
        return
    for each in inner:
        _forget_names(each, seen)
