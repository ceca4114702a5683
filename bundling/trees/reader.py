"""Any tree ensemble that trilane reads, in the one form of `bundling.trees.ensemble`."""

from collections.abc import Callable
from typing import Any

from bundling.native import NotCompilable
from bundling.trees.ensemble import TreeEnsemble


def read_ensemble(estimator: Any) -> TreeEnsemble:
    """A scikit-learn, XGBoost or LightGBM estimator or booster as trees.

    Raises NotCompilable when it is no tree ensemble, has something `TreeEnsemble` cannot say, or
    its library's version keeps its trees in another form.
    """
    try:
        return _reader(estimator)(estimator)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        kind = type(estimator).__name__
        raise NotCompilable(f"the trees of {kind} are not in a form that is known") from error


def _reader(estimator: Any) -> Callable[[Any], TreeEnsemble]:
    libraries = _libraries(estimator)
    if "xgboost" in libraries:
        from bundling.trees.xgboost_trees import read_xgboost

        return read_xgboost
    if "lightgbm" in libraries:
        from bundling.trees.lightgbm_trees import read_lightgbm

        return read_lightgbm
    from bundling.trees.sklearn_trees import read_sklearn

    return read_sklearn


def _libraries(estimator: Any) -> set[str]:
    return {cls.__module__.split(".")[0] for cls in type(estimator).__mro__}


def is_tree_ensemble(estimator: Any) -> bool:
    """Whether it is of a kind that `read_ensemble` knows, though perhaps not in every form."""
    if _libraries(estimator) & {"xgboost", "lightgbm"}:
        return True
    from bundling.trees.sklearn_trees import sklearn_reader

    return sklearn_reader(estimator) is not None
