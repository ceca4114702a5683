"""How the scores of a run are distributed, in counts that add up over units.

Merging in the same order gives the same bits; only `total` depends on the order.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scoring.errors import BundleError
from scoring.inference_log import OUTLIER_COLUMN, LogLayout
from scoring.model import ModelBundle
from scoring.records import Column, ScoredBatch

BINS: Final = 20
MOST_VALUES: Final = 50
"""Outputs with more distinct values than that are not counted by value."""

_LONGEST_VALUE: Final = 256
_UNIT_EDGES: Final = [i / BINS for i in range(BINS + 1)]
_SUM_TOLERANCE: Final = 1e-6
"""How far a record's class probabilities may be from summing to 1: some models give float32."""


class Distribution(msgspec.Struct, frozen=True):
    """One output of any number of records.

    `total` is the sum of numbers, None when no double can hold it. `counts` are the numbers below
    the first edge of the output's bins, in each bin, and above the last edge; empty without bins.
    A bin has its lower edge, the last one its upper edge too. `values` are the records per value of
    texts, booleans and integers; empty when there are more than `MOST_VALUES` or one of them is
    longer than 256 characters.
    """

    count: int = 0
    total: float | None = 0.0
    minimum: float | None = None
    maximum: float | None = None
    counts: list[int] = []
    values: dict[str, int] = {}

    @property
    def mean(self) -> float | None:
        """Of numbers; None of anything else."""
        if self.minimum is None or self.total is None:
            return None
        return self.total / self.count


def bins_of(bundle: Path, model: ModelBundle) -> dict[str, list[float]]:
    """Edges of 20 equal bins per double output; an output is left out where they are not known.

    They lie over [0, 1] for probabilities: the score of a binary model, the outlier score, and
    outputs that sum to 1 in every record of the bundle's reference. Otherwise they lie over the
    range of the reference. Reads a file of the bundle. Raises BundleError when it is not readable.
    """
    spec = model.manifest.output
    bins = {OUTLIER_COLUMN: _UNIT_EDGES} if model.manifest.outlier is not None else {}
    if spec.kind == "binary":
        return {"score": _UNIT_EDGES, **bins}
    stored = _reference_scores(bundle, model)
    if _are_probabilities(list(stored.values())):
        return {**dict.fromkeys(stored, _UNIT_EDGES), **bins}
    ranges = {name: _edges(scores) for name, scores in stored.items()}
    return {**{name: edges for name, edges in ranges.items() if edges}, **bins}


def measured(bins: Mapping[str, Sequence[float]], scored: ScoredBatch) -> dict[str, Distribution]:
    """The distributions of one batch: its outputs, and `outlier` and `outlier_score` where the
    model has a detector.
    """
    columns = dict(scored.outputs)
    if scored.outliers is not None and scored.outlier_scores is not None:
        columns |= {"outlier": scored.outliers, OUTLIER_COLUMN: scored.outlier_scores}
    return {name: _measured(bins.get(name, ()), column) for name, column in columns.items()}


def merged(
    first: Mapping[str, Distribution], second: Mapping[str, Distribution]
) -> dict[str, Distribution]:
    """Those of the records of both together, measured with the same bins."""
    both = dict(first)
    for name, more in second.items():
        both[name] = _merged(both[name], more) if name in both else more
    return both


def _measured(edges: Sequence[float], column: Column) -> Distribution:
    count = len(column)
    kind = column.dtype.kind
    if kind == "f":
        ordered = np.sort(column)
        return Distribution(count, *_span(column, ordered), _binned(edges, ordered))
    if kind == "b":
        true = int(np.count_nonzero(column))
        values = {"false": count - true, "true": true}
        return Distribution(count, values={v: n for v, n in values.items() if n})
    if kind == "i":
        distinct, numbers = np.unique(column, return_counts=True)
        found = {}
        if len(distinct) <= MOST_VALUES:
            pairs = zip(distinct.tolist(), numbers.tolist(), strict=True)
            found = {str(v): n for v, n in pairs}
        return Distribution(count, *_span(column, distinct), values=_kept(found))
    return Distribution(count, values=_kept(Counter(column.tolist())))


def _span(column: Column, ordered: Column) -> tuple[float | None, float | None, float | None]:
    """Sum, minimum and maximum."""
    if not len(column):
        return 0.0, None, None
    with np.errstate(over="ignore"):
        total = float(column.sum(dtype=np.float64))
    return (
        _finite(total),
        float(ordered[0]) + 0.0,
        float(ordered[-1]) + 0.0,
    )  # a zero without its sign


def _binned(edges: Sequence[float], ordered: Column) -> list[int]:
    if not edges:
        return []
    inner = np.searchsorted(ordered, edges[:-1], side="left")
    last = np.searchsorted(ordered, edges[-1], side="right")
    counts: list[int] = np.diff([0, *inner, last, len(ordered)]).tolist()
    return counts


def _kept(values: Mapping[str, int]) -> dict[str, int]:
    if len(values) > MOST_VALUES or any(len(value) > _LONGEST_VALUE for value in values):
        return {}
    return dict(sorted(values.items()))


def _merged(first: Distribution, second: Distribution) -> Distribution:
    if not first.count:
        return second
    if not second.count:
        return first
    total = None
    if first.total is not None and second.total is not None:
        total = _finite(first.total + second.total)
    values: dict[str, int] = {}
    if first.values and second.values:  # who dropped its values has dropped them for good
        values = _kept(Counter(first.values) + Counter(second.values))
    lows = [d.minimum for d in (first, second) if d.minimum is not None]
    highs = [d.maximum for d in (first, second) if d.maximum is not None]
    return Distribution(
        first.count + second.count,
        total,
        min(lows, default=None),
        max(highs, default=None),
        [a + b for a, b in zip(first.counts, second.counts, strict=True)],
        values,
    )


def _finite(total: float) -> float | None:
    return total if isfinite(total) else None


def _reference_scores(bundle: Path, model: ModelBundle) -> dict[str, Column]:
    """The double outputs of the reference by name; none without a reference."""
    reference = model.manifest.reference
    names = LogLayout.of(model.schema, model.output_columns).outputs
    columns = {c.name: names[c.name] for c in model.output_columns if c.type == "double"}
    if reference is None or not columns:
        return {}
    path = bundle / reference.path
    try:
        table: Any = pq.read_table(path, columns=list(columns.values()), partitioning=None)
        return {name: table.column(column).to_numpy() for name, column in columns.items()}
    except (OSError, pa.ArrowException) as error:
        raise BundleError(f"{path} is not a readable Parquet file with the outputs") from error


def _are_probabilities(scores: Sequence[Column]) -> bool:
    if len(scores) < 2 or not len(scores[0]):
        return False
    matrix = np.column_stack(scores)
    if not ((matrix >= 0.0) & (matrix <= 1.0)).all():
        return False
    return bool((np.abs(matrix.sum(axis=1) - 1.0) <= _SUM_TOLERANCE).all())


def _edges(scores: Column) -> list[float]:
    """Of equal bins over the range of the scores; none when they have no range."""
    finite = scores[np.isfinite(scores)]
    if not len(finite):
        return []
    with np.errstate(over="ignore", invalid="ignore"):
        edges = np.linspace(finite.min(), finite.max(), BINS + 1)
    increasing = np.isfinite(edges).all() and (edges[:-1] < edges[1:]).all()
    return edges.tolist() if increasing else []
