"""XGBoost's boosted trees as `TreeEnsemble`, from its documented JSON form.

https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bundling.native import NotCompilable
from bundling.trees.ensemble import Link, Tree, TreeEnsemble, renumbered

_LINKS: Final[Mapping[str, Link]] = {
    "binary:logistic": "logistic",
    "multi:softprob": "softmax",
    "reg:absoluteerror": "identity",
    "reg:logistic": "logistic",
    "reg:pseudohubererror": "identity",
    "reg:squarederror": "identity",
}


def read_xgboost(estimator: Any) -> TreeEnsemble:
    """A Booster, XGBClassifier or XGBRegressor. Raises NotCompilable for boosters other than
    `gbtree`, splits on categories, several targets, a `missing` other than NaN, and objectives
    whose output is neither the margin, a logistic nor a softmax of it.
    """
    booster = estimator.get_booster() if hasattr(estimator, "get_booster") else estimator
    missing = getattr(estimator, "missing", None)
    if missing is not None and not math.isnan(missing):
        raise NotCompilable("XGBoost with a missing value other than NaN has no compiled form")
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    if learner["gradient_booster"]["name"] != "gbtree":
        raise NotCompilable("only XGBoost's booster gbtree has a compiled form")
    objective = learner["objective"]["name"]
    if objective not in _LINKS:
        raise NotCompilable(f"XGBoost's objective {objective} has no compiled form")
    link = _LINKS[objective]
    param = learner["learner_model_param"]
    if int(param.get("num_target", 1)) > 1:
        raise NotCompilable("XGBoost with several targets has no compiled form")
    base = _base(param["base_score"], link, max(1, int(param["num_class"])))
    model = learner["gradient_booster"]["model"]
    rounds = _rounds(estimator, model, len(base))
    trees = tuple(
        _tree(tree, target, len(base))
        for tree, target in zip(model["trees"][:rounds], model["tree_info"][:rounds], strict=True)
    )
    classes = getattr(estimator, "classes_", None)
    return TreeEnsemble(
        trees,
        int(param["num_feature"]),
        base,
        link,
        "value" if link == "identity" else "log-odds",
        float32=True,
        classes=None if classes is None else tuple(np.asarray(classes).tolist()),
    )


def _base(text: str, link: Link, targets: int) -> NDArray[np.float64]:
    """The stored base score is on the scale of the output; the margin's is wanted."""
    scores = np.array([float(part) for part in str(text).strip("[]").split(",")])
    if link == "logistic":
        scores = np.log(scores / (1.0 - scores))
    return np.broadcast_to(scores, (targets,)).astype(np.float64)


def _rounds(estimator: Any, model: Mapping[str, Any], targets: int) -> int:
    """How many trees the estimator uses: after early stopping those up to the best round."""
    try:
        best = estimator.best_iteration if hasattr(estimator, "get_booster") else None
    except AttributeError:  # what XGBoost raises where training did not stop early
        best = None
    if best is None:
        return len(model["trees"])
    parallel = max(1, int(model["gbtree_model_param"].get("num_parallel_tree", 1)))
    return (int(best) + 1) * targets * parallel


def _tree(tree: Mapping[str, Any], target: int, targets: int) -> Tree:
    if any(tree.get("split_type", ())):
        raise NotCompilable("XGBoost's splits on categories have no compiled form")
    left = np.asarray(tree["left_children"], np.int64)
    leaf = left == -1
    conditions = np.asarray(tree["split_conditions"], np.float32)
    value = np.zeros((len(left), targets))
    value[:, target] = np.where(leaf, conditions, 0.0)
    # XGBoost goes left where x < t; among float32 that is x <= the number before t.
    below = np.nextafter(conditions, np.float32(-np.inf))
    return renumbered(
        Tree(
            np.where(leaf, -1, np.asarray(tree["split_indices"], np.int64)),
            np.where(leaf, 0.0, below).astype(np.float64),
            left,
            np.asarray(tree["right_children"], np.int64),
            np.asarray(tree["default_left"], np.bool_) & ~leaf,
            value,
            np.asarray(tree["sum_hessian"], np.float64),
        )
    )
