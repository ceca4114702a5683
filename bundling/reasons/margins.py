"""The margin of a fitted estimator: of its linear form, and as its own library computes it."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bundling.parity.proof import TOLERANCE
from scoring.records import RecordBatch
from scoring.schema import Schema

Scale = Literal["log-odds", "log", "probability", "value"]


@dataclass(frozen=True, slots=True, eq=False)
class LinearMargin:
    """The margins are `weights` (targets, width) times the encoded row plus `bias` (targets,)."""

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    scale: Scale

    def of_class(self, place: int) -> "LinearMargin":
        """The one whose margin is that of one of two classes."""
        if len(self.bias) > 1:
            return replace(self, weights=self.weights[[place]], bias=self.bias[[place]])
        return self if place == 1 else replace(self, weights=-self.weights, bias=-self.bias)


def linear_margin(estimator: Any) -> LinearMargin | None:
    """That of scikit-learn's linear and generalised linear models, None of any other estimator."""
    from sklearn.svm import LinearSVC, LinearSVR

    modules = {kind.__module__ for kind in type(estimator).__mro__}
    linear = any(module.startswith("sklearn.linear_model.") for module in modules)
    coefficients = getattr(estimator, "coef_", None) if linear else None
    if isinstance(estimator, LinearSVC | LinearSVR):
        coefficients = estimator.coef_
    if coefficients is None or not hasattr(estimator, "intercept_"):
        return None
    if hasattr(coefficients, "toarray"):
        coefficients = coefficients.toarray()
    weights = np.atleast_2d(np.asarray(coefficients, np.float64))
    bias = np.broadcast_to(np.ravel(estimator.intercept_), (len(weights),)).astype(np.float64)
    return LinearMargin(weights, bias, _linear_scale(estimator))


def own_margins(estimator: Any, encoded: Any, scale: str) -> NDArray[np.float64]:
    """What the estimator's library says of an encoded matrix: (records, targets), and two targets
    where it gives probabilities of two classes.

    Not finite where the score is none. May raise whatever the library does.
    """
    kind = type(estimator)
    libraries = {base.__module__.split(".")[0] for base in kind.__mro__}
    if "xgboost" in libraries and kind.__name__ == "Booster":
        import xgboost

        found = estimator.predict(xgboost.DMatrix(encoded), output_margin=True)
    elif "xgboost" in libraries:
        found = estimator.predict(encoded, output_margin=True)
    elif "lightgbm" in libraries:
        found = estimator.predict(encoded, raw_score=True)
    elif hasattr(estimator, "decision_function"):
        found = estimator.decision_function(encoded)
    elif hasattr(estimator, "predict_proba"):
        found = estimator.predict_proba(encoded)
    else:
        found = estimator.predict(encoded)
    values = np.asarray(found, np.float64)
    with np.errstate(divide="ignore"):
        values = np.log(values) if scale == "log" else values
    return values[:, np.newaxis] if values.ndim == 1 else values


def sum_tolerance(estimator: Any, terms: int) -> float:
    """How far the library's margin, relative above 1, may be from the exact sum of its terms.

    XGBoost adds in float32, where every addition may be half a unit in the last place off.
    """
    kinds = type(estimator).__mro__
    single = any(kind.__module__.startswith("xgboost") for kind in kinds)
    return max(TOLERANCE, terms * 2.0**-24) if single else TOLERANCE


def _linear_scale(estimator: Any) -> Scale:
    from sklearn.linear_model import LogisticRegression, SGDClassifier
    from sklearn.linear_model._glm import _GeneralizedLinearRegressor

    if isinstance(estimator, LogisticRegression):
        return "log-odds"
    if isinstance(estimator, SGDClassifier):
        return "log-odds" if estimator.loss == "log_loss" else "value"
    if isinstance(estimator, _GeneralizedLinearRegressor):
        return "log" if type(estimator._base_loss.link).__name__ == "LogLink" else "value"
    return "value"


def native_frame(schema: Schema, batch: RecordBatch) -> Any:
    """The batch as a DataFrame of the columns the model was trained on; a null number is NaN."""
    import pandas as pd

    columns = {
        feature.name: column.astype(np.float64)
        if feature.is_numeric and column.dtype == object
        else column
        for feature, column in zip(schema.features, batch.columns, strict=True)
    }
    return pd.DataFrame(columns)
