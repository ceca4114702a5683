"""What sampling starts from: a baseline record, and the permutations."""

from collections import Counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scoring.records import Column, RecordBatch
from scoring.schema import Feature, FieldType, Schema

PAIRS: Final = 5
"""Permutations that are drawn; each is also taken backwards, which cancels much of the error."""


def permutations(features: int) -> NDArray[np.intp]:
    """(2 x PAIRS, features), the same for every model with as many features."""
    random = np.random.default_rng(0)
    drawn = [random.permutation(features) for _ in range(PAIRS)]
    return np.array([order for one in drawn for order in (one, one[::-1])], np.intp)


def baseline_record(schema: Schema, reference: RecordBatch) -> dict[str, Any]:
    """The usual record, as JSON carries it: medians, and of text and booleans the most frequent.

    A median is a value that occurs, the lower of two. `reference` is not empty.
    """
    return {
        feature.name: _usual(feature, column)
        for feature, column in zip(schema.features, reference.columns, strict=True)
    }


def _usual(feature: Feature, column: Column) -> Any:
    if feature.type in (FieldType.STRING, FieldType.BOOLEAN):
        counts = Counter(column.tolist())
        return min(counts, key=lambda value: (-counts[value], str(value)))
    known = [value for value in column if value is not None and value == value]
    if not known:
        return None
    median = sorted(known)[(len(known) - 1) // 2]
    if feature.type is FieldType.DATETIME:
        return str(median.astype("datetime64[us]"))
    return median.item() if isinstance(median, np.generic) else median
