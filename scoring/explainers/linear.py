"""Contributions of a linear model: exact, in closed form.

With weights w and the means m of the encoded columns over the reference, column j adds
w_j (x_j - m_j) to the margin, over the base value intercept + w . m: these are the Shapley values
of a linear model whose columns are taken to be independent (Lundberg and Lee, "A Unified Approach
to Interpreting Model Predictions", NeurIPS 2017, corollary 1).
"""

from pathlib import Path

import msgspec
import numpy as np

from scoring.explainers.parameters import damaged, read_parameters
from scoring.records import Column


class LinearParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`weights` (targets, width), `means` (width,), `base` (targets,)."""

    weights: list[list[float]]
    means: list[float]
    base: list[float]


class LinearTerms:
    """Terms by elementwise arithmetic, so that a row's bits do not depend on the others."""

    def __init__(self, parameters: LinearParameters) -> None:
        """Raises ValueError when the shapes do not fit together."""
        self._weights = np.array(parameters.weights, np.float64)
        self._means = np.array(parameters.means, np.float64)
        self._base = np.array(parameters.base, np.float64)
        if not len(self._base) or self._weights.shape != (len(self._base), len(self._means)):
            raise ValueError("weights, means and base do not fit together")

    @property
    def width(self) -> int:
        """How many encoded columns it takes."""
        return len(self._means)

    @property
    def targets(self) -> int:
        """How many margins the model has."""
        return len(self._base)

    def terms(self, encoded: Column) -> tuple[Column, Column]:
        """As `scoring.explainers.encoded.Terms`."""
        return self._base, (encoded - self._means)[:, np.newaxis, :] * self._weights


def open_linear(path: Path) -> LinearTerms:
    """Read `LinearParameters`. Raises BundleError naming the file."""
    try:
        return LinearTerms(read_parameters(path, LinearParameters))
    except ValueError as error:
        raise damaged(path) from error
