"""Proof that contributions add up to the model's own margin, whatever batch a record is in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundling.parity.proof import TOLERANCE, call_width, largest_difference
from scoring.errors import BundleError, ModelError
from scoring.model import Explainer
from scoring.records import Column, RecordBatch


class NotProven(Exception):
    """A method did not give what it promises; the text says in what."""


@dataclass(frozen=True, slots=True)
class _Explained:
    """An explainer as a backend, for the proofs of `bundling.parity.proof`."""

    explainer: Explainer

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """Base and contributions."""
        found = self.explainer.explain(batch)
        return {"base": found.base, "contributions": found.contributions}


def spread(batch: RecordBatch, count: int) -> RecordBatch:
    """At most `count` records from all over the batch, its first and its last among them."""
    places = np.linspace(0, len(batch) - 1, min(count, len(batch)))
    return batch.take(np.unique(places.astype(np.intp)))


def prove_sums(
    explainer: Explainer,
    batch: RecordBatch,
    margins: NDArray[np.float64],
    tolerance: float = TOLERANCE,
) -> float:
    """The largest |base + contributions - margin|, relative above 1. Raises NotProven when it is
    above the tolerance.

    `margins` (records,) are the model's own.
    """
    try:
        found = explainer.explain(batch)
    except ModelError as error:
        raise NotProven(str(error)) from error
    sums = found.base + found.contributions.sum(axis=1)
    difference = largest_difference({"margin": margins}, {"margin": sums})
    if difference > tolerance:
        raise NotProven(f"contributions and base differ from the margin by {difference:.1e}")
    return difference


def prove_steady(explainer: Explainer, batch: RecordBatch) -> None:
    """A record gets the same bits alone and in batches of several sizes. Raises NotProven."""
    try:
        steady = call_width(_Explained(explainer), batch) is None
    except (BundleError, ModelError):
        steady = False
    if not steady:
        raise NotProven("contributions of a record depend on the records beside it")


def prove_score(
    scale: Any, margins: NDArray[np.float64], scores: Sequence[NDArray[np.generic]]
) -> None:
    """What is served is what the margins say. Raises NotProven.

    `margins` (records, targets); `scores` are the explained raw columns, (records,) each. Of
    several the highest has to be that of the highest margin. Labels cannot be compared.
    """
    if any(score.dtype.kind != "f" for score in scores) or len(scores) != margins.shape[1]:
        return
    if len(scores) > 1:
        table = np.column_stack(scores)
        best = table[np.arange(len(table)), margins.argmax(axis=1)]
        difference = largest_difference({"score": table.max(axis=1)}, {"score": best})
    else:
        score = _score(scale, margins[:, 0])
        difference = largest_difference({"score": scores[0]}, {"score": score})
    if difference > TOLERANCE:
        raise NotProven("the margin does not belong to the score")


def _score(scale: Any, margin: NDArray[np.float64]) -> NDArray[np.float64]:
    if scale == "log-odds":
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(margin, -700.0, 700.0))))
    return np.asarray(np.exp(margin)) if scale == "log" else margin
