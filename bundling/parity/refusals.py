"""Which records the registered model refuses. A compiled graph must refuse them too."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scoring.errors import ModelError
from scoring.model import Backend
from scoring.records import Column, RecordBatch
from scoring.schema import Schema

_TRIES: Final = 3


def survivors(backend: Backend, batch: RecordBatch) -> RecordBatch:
    """The part of the batch that the registered model can score.

    Raises ModelError when it scores none of the records.
    """
    good = scorable(backend, batch)
    if not good:
        raise ModelError("the model scores none of the records it is tried with")
    return batch if len(good) == len(batch) else batch.take(good)


def scorable(backend: Backend, batch: RecordBatch) -> list[int]:
    """Positions of the records the model can score, found by halving the batch."""
    if not len(batch):
        return []
    if computes(backend, batch):
        return list(range(len(batch)))
    if len(batch) == 1:
        return []
    half = len(batch) // 2
    first, second = batch.slice(0, half), batch.slice(half, len(batch))
    return [*scorable(backend, first), *(half + i for i in scorable(backend, second))]


def refused_nulls(backend: Backend, schema: Schema, batch: RecordBatch) -> list[str]:
    """Optional features in which the model refuses a null.

    Records with no other null are tried, where there are some, and a few of them.
    """
    nulls = np.array([_nulls(column) for column in batch.columns])
    refused = []
    for place, feature in enumerate(schema.features):
        positions = np.flatnonzero(nulls[place])
        if feature.required or not len(positions):
            continue
        fewest = positions[np.argsort(nulls[:, positions].sum(axis=0), kind="stable")][:_TRIES]
        if not any(computes(backend, batch.take([int(position)])) for position in fewest):
            refused.append(feature.name)
    return refused


def without_nulls(schema: Schema, batch: RecordBatch, names: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each record has a value in all the features of these names."""
    full = np.ones(len(batch), dtype=np.bool_)
    for name in names:
        full &= ~_nulls(batch.columns[schema.index(name)])
    return full


def computes(backend: Backend, batch: RecordBatch) -> bool:
    """Whether the backend gives every record a result that can be a score: a number that is finite,
    or anything that is no number.
    """
    try:
        raw: Mapping[str, Column] = backend.compute(batch)
    except ModelError:
        return False
    return all(c.dtype.kind != "f" or bool(np.isfinite(c).all()) for c in raw.values())


def _nulls(column: Column) -> NDArray[np.bool_]:
    if column.dtype.kind == "f":
        return np.isnan(column)
    if column.dtype.kind == "M":
        return np.isnat(column)
    if column.dtype == object:
        return np.array([value is None for value in column], dtype=np.bool_)
    return np.zeros(len(column), dtype=np.bool_)
