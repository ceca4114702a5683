"""TreeSHAP: the Shapley values of a tree ensemble (Lundberg et al., "From local explanations to
global understanding with explainable AI for trees", Nature Machine Intelligence 2020).

The path-dependent form: a column that is not known is averaged over by the training records that
went either way. LightGBM's implementation computes it in float64, whatever library grew the trees.
"""

import ctypes
from pathlib import Path

import msgspec
import numpy as np

from scoring.explainers.lightgbm_library import Booster
from scoring.explainers.parameters import damaged, read_parameters
from scoring.records import Column


class TreeParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`model` is in LightGBM's text format, `base` (targets,) is added to its expected values.

    `float32` says that columns are rounded to float32 before they are compared.
    """

    model: str
    base: list[float]
    float32: bool


class TreeTerms:
    """Terms from LightGBM, row by row on one thread."""

    def __init__(self, parameters: TreeParameters, library: ctypes.CDLL) -> None:
        """Raises ValueError when LightGBM refuses the model, or it does not fit the rest."""
        self._booster = Booster(library, parameters.model)
        if self._booster.targets != len(parameters.base):
            raise ValueError("the trees and the base do not fit together")
        self._float32 = parameters.float32
        # The expected values do not depend on the record.
        anywhere = self._booster.contributions(np.zeros((1, self.width)))
        self._base = np.array(parameters.base, np.float64) + anywhere[0, :, -1]

    @property
    def width(self) -> int:
        """How many encoded columns it takes."""
        return self._booster.width

    @property
    def targets(self) -> int:
        """How many margins the model has."""
        return self._booster.targets

    def terms(self, encoded: Column) -> tuple[Column, Column]:
        """As `scoring.explainers.encoded.Terms`."""
        if self._float32:
            with np.errstate(over="ignore"):  # beyond float32 is infinite there, as for the model
                encoded = encoded.astype(np.float32)
        return self._base, self._booster.contributions(encoded)[:, :, :-1]


def open_tree(path: Path, library: ctypes.CDLL) -> TreeTerms:
    """Read `TreeParameters`. Raises BundleError naming the file."""
    try:
        return TreeTerms(read_parameters(path, TreeParameters), library)
    except ValueError as error:
        raise damaged(path) from error
