"""Shapley values of any model by sampling permutations of its features.

Strumbelj and Kononenko, "Explaining prediction models and individual predictions with feature
contributions" (Knowledge and Information Systems 2014), against one baseline record instead of
random ones: along a permutation the features are switched one by one from the baseline to the
record, and each is credited with what the output changed by. The permutations are the same for
every record, so a record always gets the same contributions; whatever they are, the contributions
sum to the output of the record less that of the baseline.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from scoring.explainers.parameters import damaged, read_parameters
from scoring.model import Backend, Explanation
from scoring.outputs import typed_output
from scoring.parallel import compute
from scoring.records import Column, RecordBatch
from scoring.schema import Schema
from scoring.validation import validate_rows

_ROWS: Final = 4096
"""Rows that are made at once, or one record's if those are more."""


class SamplingParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`baseline` is a record, each of `permutations` the schema positions in some order."""

    baseline: dict[str, Any]
    permutations: list[list[int]]


class SamplingExplainer:
    """Asks the backend for every step of every permutation; as thread-safe as the backend.

    The margin is the output itself: of several `outputs` the one that is highest in the record.
    """

    def __init__(
        self,
        backend: Backend,
        call_width: int | None,
        baseline: RecordBatch,
        permutations: NDArray[np.intp],
        outputs: Sequence[str],
    ) -> None:
        self._backend, self._call_width = backend, call_width
        self._baseline, self._permutations = baseline, permutations
        self._outputs = tuple(outputs)

    def explain(self, batch: RecordBatch) -> Explanation:
        """As `scoring.model.Explainer`; costs the scoring of (features - 1) x permutations rows per
        record.
        """
        start = self._values(self._baseline)[0]
        rows = max(1, _ROWS // max(1, len(batch.columns) - 1))
        parts = [
            self._part(batch.slice(first, first + rows), start)
            for first in range(0, len(batch), rows)
        ]
        return Explanation(
            np.concatenate([part.base for part in parts]),
            np.concatenate([part.contributions for part in parts]),
        )

    def _part(self, batch: RecordBatch, start: Column) -> Explanation:
        end = self._values(batch)
        chosen = np.argmax(end, axis=1)
        records, features = np.arange(len(batch)), len(batch.columns)
        path = np.empty((len(batch), features + 1))
        path[:, 0], path[:, -1] = start[chosen], end[records, chosen]
        sums = np.zeros((len(batch), features))
        for permutation in self._permutations:
            if features > 1:
                steps = self._values(_hybrids(batch, self._baseline, permutation))
                steps = steps.reshape(len(batch), features - 1, len(self._outputs))
                path[:, 1:-1] = steps[records, :, chosen]
            sums[:, permutation] += path[:, 1:] - path[:, :-1]
        return Explanation(start[chosen], sums / len(self._permutations))

    def _values(self, batch: RecordBatch) -> Column:
        """The explained outputs (records, outputs). Raises ModelError."""
        raw = compute(self._backend, batch, self._call_width)
        return np.column_stack([typed_output(name, "double", raw[name]) for name in self._outputs])


def _hybrids(batch: RecordBatch, baseline: RecordBatch, permutation: Column) -> RecordBatch:
    """For each record in turn, the baseline with the record's first 1, 2, ... features in it."""
    features = len(batch.columns)
    rank = np.argsort(permutation)
    taken = np.arange(1, features)
    columns = tuple(
        np.where(taken > place, column[:, np.newaxis], base).ravel()
        for column, base, place in zip(batch.columns, baseline.columns, rank, strict=True)
    )
    return RecordBatch(("",) * (len(batch) * (features - 1)), columns)


def open_sampling(
    path: Path, outputs: Sequence[str], schema: Schema, backend: Backend, call_width: int | None
) -> SamplingExplainer:
    """Read `SamplingParameters`. Raises BundleError naming the file."""
    parameters = read_parameters(path, SamplingParameters)
    baseline = validate_rows(schema, [parameters.baseline], ["baseline"]).batch
    expected = list(range(len(schema.features)))
    orders = parameters.permutations
    if not len(baseline) or not orders or any(sorted(order) != expected for order in orders):
        raise damaged(path)
    permutations = np.array(orders, np.intp)
    return SamplingExplainer(backend, call_width, baseline, permutations, outputs)
