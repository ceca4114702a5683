"""What a registered model may contain before anything of it is loaded.

Loading a pickle runs whatever its author wrote. skops files are data, but name types to construct,
and some of scikit-learn's own can be crafted to crash a process. So: pickles only where the
configuration says so for that model, and skops types only from a list.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from bundling.config import ModelEntry
from scoring.errors import BundleError
from scoring.manifest import bundle_files, file_digest

_LOSSES: Final = ("HalfBinomialLoss", "HalfTweedieLoss", "HalfTweedieLossIdentity")
_DISTANCES: Final = ("Chebyshev", "Euclidean", "Hamming", "Manhattan", "Minkowski")

TRUSTED_TYPES: Final = frozenset(
    {
        "numpy.dtype",
        "sklearn._loss.link.IdentityLink",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        *(f"sklearn._loss.loss.{name}" for name in _LOSSES),
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.calibration._TemperatureScaling",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.impute._iterative.IterativeImputer",
        "sklearn.impute._iterative._ImputerTriplet",
        *(f"sklearn.metrics._dist_metrics.{name}Distance64" for name in _DISTANCES),
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
        # Boosting with categorical features holds a partial of this check. skops looks into a
        # partial, so any other function in one is still refused by its name.
        "functools.partial",
        "sklearn.utils.validation.check_array",
    }
)
"""Types skops does not construct unasked, and every model may hold: scikit-learn's and NumPy's own
that hold data, and what those hold. Lanes with a compiled bundle construct none of them."""

_PICKLES: Final = frozenset({".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle"})
# MLflow adds this file at download; it is no part of the model.
_ADDED_BY_DOWNLOAD: Final = "registered_model_meta"


def source_digest(directory: Path) -> str:
    """SHA-256 over the paths and contents of a model's files, the same wherever it is stored."""
    digest = hashlib.sha256()
    for name in bundle_files(directory):
        if name != _ADDED_BY_DOWNLOAD:
            digest.update(json.dumps([name, file_digest(directory / name)]).encode())
    return digest.hexdigest()


def check_integrity(directory: Path, entry: ModelEntry) -> str:
    """The model's source digest, if nothing speaks against loading the model.

    Loads nothing. Raises BundleError naming the file and what to do.
    """
    digest = source_digest(directory)
    if entry.digest is not None and entry.digest != digest:
        raise BundleError(
            f"the registry's files have the digest {digest}, "
            "models.json pins another one: the version was changed after it was pinned"
        )
    for name in bundle_files(directory):
        if Path(name).suffix in _PICKLES and not entry.allow_pickle:
            raise BundleError(
                f"{name} is a pickle, which runs its author's code when it is "
                'loaded; log the model without one, or set "allow_pickle": true for it'
            )
        if Path(name).suffix == ".skops":
            _check_skops(directory / name, name, entry)
    return digest


def _check_skops(path: Path, name: str, entry: ModelEntry) -> None:
    refused = sorted(_untrusted_types(path, name) - TRUSTED_TYPES - set(entry.trusted_types))
    if refused:
        raise BundleError(
            f"{name} holds types that are not trusted: {', '.join(refused)}; "
            'check them, then name them in "trusted_types"'
        )


def _untrusted_types(path: Path, name: str) -> set[str]:
    import skops.io

    try:
        found: Any = skops.io.get_untrusted_types(file=path)
    except Exception as error:  # a damaged archive raises what zipfile, json or skops do
        raise BundleError(
            f"{name} is damaged or no skops file: log the model and register it again"
        ) from error
    return {str(kind) for kind in found}
