"""scikit-learn's linear models as ONNX: one matrix product and the link."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bundling.graphs.link import labels, logistic_pair, softmax
from bundling.graphs.writer import GraphWriter


def linear_outputs(writer: GraphWriter, encoded: str, model: Any) -> Mapping[str, str] | None:
    """Append a linear model; the names of its possible outputs, as `ensemble_outputs` gives them.

    None for any other estimator, and for the linear ones with another rule for their
    probabilities: they are left to skl2onnx. `encoded` is (n, width) float64.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.linear_model._base import LinearClassifierMixin, LinearModel
    from sklearn.svm import LinearSVR

    if isinstance(model, LinearClassifierMixin):
        if np.ndim(model.classes_) != 1 or np.ndim(model.coef_) not in (1, 2):
            return None
        if isinstance(model, LogisticRegression) or _is_logistic(model):
            return _probabilities(writer, encoded, model)
        if not hasattr(model, "predict_proba"):
            scores, _ = _margins(writer, encoded, model)
            return {"labels": labels(writer, scores, model.classes_)}
        return None
    if isinstance(model, LinearModel | LinearSVR) and not hasattr(model, "classes_"):
        return _regression(writer, encoded, model)
    return None


def _is_logistic(model: Any) -> bool:
    """Whether it is a logistic regression of two classes by stochastic gradient descent."""
    return getattr(model, "loss", None) == "log_loss" and len(model.classes_) == 2


def _regression(writer: GraphWriter, encoded: str, model: Any) -> Mapping[str, str]:
    weights = np.atleast_2d(np.asarray(model.coef_, np.float64)).T
    bias = np.broadcast_to(np.ravel(model.intercept_), (weights.shape[1],))
    return {"value": _product(writer, encoded, weights, bias)}


def _probabilities(writer: GraphWriter, encoded: str, model: Any) -> Mapping[str, str]:
    scores, count = _margins(writer, encoded, model)
    if count == 2:
        found = logistic_pair(writer, scores, mirrored=True)
    else:
        found = softmax(writer, scores, count)
    return {"probabilities": found, "labels": labels(writer, scores, model.classes_)}


def _margins(writer: GraphWriter, encoded: str, model: Any) -> tuple[str, int]:
    """One margin per class; for two classes that of the second and, mirrored, of the first."""
    coefficients = np.atleast_2d(np.asarray(model.coef_, np.float64))
    bias = np.broadcast_to(np.ravel(model.intercept_), (len(coefficients),))
    if len(model.classes_) == 2:
        coefficients = np.concatenate([-coefficients, coefficients])
        bias = np.concatenate([-bias, bias])
    return _product(writer, encoded, coefficients.T, bias), len(model.classes_)


def _product(writer: GraphWriter, encoded: str, weights: Any, bias: Any) -> str:
    return writer.node("Gemm", [encoded, writer.constant(weights), writer.constant(bias)])
