"""The estimator behind a registered model, as its own library loads it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bundling.source import ModelSource


class NotCompilable(Exception):
    """The model, or a part of it, has no compiled form; the text says why in one phrase."""


@dataclass(frozen=True, slots=True, eq=False)
class NativeModel:
    """`estimator` is what was logged. Of a scikit-learn Pipeline `encoder` is everything before the
    last step, itself a Pipeline, and `final` the last step; otherwise `encoder` is None and
    `final` the estimator.
    """

    estimator: Any
    encoder: Any | None
    final: Any


def load_native(source: ModelSource) -> NativeModel:
    """Load the estimator with its flavor; takes seconds. Raises NotCompilable without a flavor that
    holds one, or when its library is not installed or cannot load it.
    """
    for flavor, load in _LOADERS.items():
        if flavor in source.flavors:
            try:
                return native_model(load(source.directory))
            except (Exception, SystemExit) as error:  # a library may raise anything while it loads
                reason = f"{flavor} cannot load the model: {type(error).__name__}"
                raise NotCompilable(reason) from error
    raise NotCompilable("only models logged as scikit-learn, XGBoost or LightGBM are compiled")


def native_model(estimator: Any) -> NativeModel:
    """The parts of an estimator; of a fitted search over parameters, those of its winner."""
    from sklearn.pipeline import Pipeline

    estimator = getattr(estimator, "best_estimator_", estimator)
    if not isinstance(estimator, Pipeline):
        return NativeModel(estimator, None, estimator)
    steps = [step for step in estimator.steps if step[1] not in (None, "passthrough")]
    if len(steps) < 2 or steps[-1] is not estimator.steps[-1]:
        return NativeModel(estimator, None, steps[-1][1] if len(steps) == 1 else estimator)
    return NativeModel(estimator, Pipeline(steps[:-1]), steps[-1][1])


def classes_of(native: NativeModel) -> list[Any] | None:
    """The labels of a classifier, in the order of its probabilities; None for anything else."""
    classes = getattr(native.final, "classes_", None)
    if classes is None or isinstance(classes, list) or getattr(classes, "ndim", 1) != 1:
        return None  # a list has the classes of several outputs
    return [label.item() if hasattr(label, "item") else label for label in classes]


def _load_sklearn(directory: Path) -> Any:
    import mlflow.sklearn

    return mlflow.sklearn.load_model(str(directory))


def _load_xgboost(directory: Path) -> Any:
    import mlflow.xgboost

    return mlflow.xgboost.load_model(str(directory))


def _load_lightgbm(directory: Path) -> Any:
    import mlflow.lightgbm

    return mlflow.lightgbm.load_model(str(directory))


_LOADERS: Final[Mapping[str, Callable[[Path], Any]]] = {
    "sklearn": _load_sklearn,
    "xgboost": _load_xgboost,
    "lightgbm": _load_lightgbm,
}
