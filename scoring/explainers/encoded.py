"""Contributions computed on the matrix that a pipeline's last step takes, added up by feature.

Contributions are additive, so those of a one-hot feature are the sum of those of its columns.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from scoring.backends.onnx import OnnxGraph, matrix
from scoring.errors import ModelError
from scoring.model import Explanation
from scoring.records import Column, RecordBatch
from scoring.schema import Schema

_CELLS: Final = 2_000_000
"""Terms that are held at once; a larger batch is explained in parts."""

_PART_ROWS: Final = 4096


class Terms(Protocol):
    """A method: what each encoded column adds to each margin of a model."""

    @property
    def width(self) -> int:
        """How many encoded columns it takes."""
        ...

    @property
    def targets(self) -> int:
        """How many margins the model has: 1, or one per class."""
        ...

    def terms(self, encoded: Column) -> tuple[Column, Column]:
        """Of a matrix (records, width) in float64: base (targets,) and terms (records, targets,
        width), float64. A row's terms do not depend on the other rows. Raises ModelError.
        """
        ...


class Encoding:
    """From records to the encoded matrix, and from its columns back to the features.

    `groups` has the schema position of the feature behind each column. Without a graph the matrix
    is the numeric features themselves.
    """

    def __init__(self, graph: Path | None, schema: Schema, groups: Sequence[int]) -> None:
        """Raises BundleError when ONNX Runtime refuses the graph."""
        self._graph = None if graph is None else OnnxGraph(graph, schema, "double")
        self._numeric = [i for i, f in enumerate(schema.features) if f.is_numeric]
        self._features = len(schema.features)
        self._width = len(groups)
        columns = np.asarray(groups, np.intp)
        order = np.argsort(columns, kind="stable")
        self._order = None if np.array_equal(order, np.arange(len(order))) else order
        self._present, self._starts = np.unique(columns[order], return_index=True)

    def encode(self, batch: RecordBatch) -> Column:
        """The encoded matrix (records, columns), float64. Raises ModelError."""
        if self._graph is None:
            return matrix(batch, self._numeric, np.dtype(np.float64))
        encoded = self._graph.run(batch)
        if encoded.shape != (len(batch), self._width):
            raise ModelError("the encoder returned another shape than at packaging")
        return encoded

    def by_feature(self, terms: Column) -> Column:
        """Terms (records, targets, columns) summed to (records, targets, features).

        `reduceat` adds the columns of each row for itself, in an order that depends on their number
        alone.
        """
        ordered = terms if self._order is None else terms[:, :, self._order]
        sums = np.add.reduceat(ordered, self._starts, axis=2)
        if len(self._present) == self._features:
            return sums
        contributions = np.zeros((*terms.shape[:2], self._features))
        contributions[:, :, self._present] = sums
        return contributions


class EncodedExplainer:
    """An encoding and a method. Safe to call from several threads."""

    def __init__(self, encoding: Encoding, terms: Terms) -> None:
        self._encoding, self._terms = encoding, terms

    def explain(self, batch: RecordBatch) -> Explanation:
        """As `scoring.model.Explainer`; of several margins the highest in each record."""
        rows = max(1, min(_PART_ROWS, _CELLS // (self._terms.width * self._terms.targets)))
        if len(batch) <= rows:
            return self._part(batch)
        starts = range(0, len(batch), rows)
        parts = [self._part(batch.slice(start, start + rows)) for start in starts]
        return Explanation(
            np.concatenate([part.base for part in parts]),
            np.concatenate([part.contributions for part in parts]),
        )

    def _part(self, batch: RecordBatch) -> Explanation:
        with np.errstate(over="ignore", invalid="ignore"):  # whoever asks looks for finite numbers
            base, terms = self._terms.terms(self._encoding.encode(batch))
            contributions = self._encoding.by_feature(terms)
        if len(base) == 1:
            return Explanation(np.full(len(batch), base[0]), contributions[:, 0])
        highest: NDArray[np.intp] = np.argmax(base + contributions.sum(axis=2), axis=1)
        return Explanation(base[highest], contributions[np.arange(len(batch)), highest])
