"""The features that moved a score most, from the contributions an explainer computes."""

from concurrent.futures import Executor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scoring.errors import ModelError
from scoring.model import Explainer, ModelBundle
from scoring.records import Reasons, RecordBatch

PART_ROWS: Final = 1024
"""Rows that one thread explains at once: trees take a millisecond or more for each."""

_FEW: Final = 8
"""Up to so many, taking the largest again and again is faster than sorting all features."""


def top_reasons(model: ModelBundle, batch: RecordBatch, count: int) -> Reasons:
    """The `count` strongest contributions of each record, by magnitude, ties in schema order.

    `batch` is not empty. Raises ModelError, ReasonsUnavailable.
    """
    contributions = _contributions(model.require_explainer(), batch, model.workers)
    if not np.isfinite(contributions).all():
        raise ModelError("a contribution is not a finite number")
    places = strongest(contributions, count)
    return Reasons(model.schema.names, places, np.take_along_axis(contributions, places, axis=1))


def _contributions(
    explainer: Explainer, batch: RecordBatch, workers: Executor | None
) -> NDArray[np.float64]:
    """Shape (records, features); with `workers` the parts of a large batch side by side."""
    if workers is None or len(batch) <= PART_ROWS:
        return explainer.explain(batch).contributions
    starts = range(0, len(batch), PART_ROWS)
    parts = (batch.slice(start, start + PART_ROWS) for start in starts)
    explained = workers.map(lambda part: explainer.explain(part).contributions, parts)
    return np.concatenate(list(explained))


def strongest(contributions: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Of (records, features) the places of the largest magnitudes, the first of equals first:
    (records, `count`), or as many as there are features.
    """
    records, features = contributions.shape
    count = min(count, features)
    sizes = np.abs(contributions)
    if count > _FEW:
        return np.argsort(-sizes, axis=1, kind="stable")[:, :count]
    rows = np.arange(records)
    places = np.empty((records, count), np.intp)
    for rank in range(count):
        places[:, rank] = largest = sizes.argmax(axis=1)
        sizes[rows, largest] = -1.0  # below every magnitude
    return places


def no_reasons(model: ModelBundle, count: int) -> Reasons:
    """Those of no records. Raises ReasonsUnavailable."""
    model.require_explainer()
    shape = (0, min(count, len(model.schema.names)))
    return Reasons(model.schema.names, np.empty(shape, np.intp), np.empty(shape))
