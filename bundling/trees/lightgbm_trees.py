"""LightGBM's boosted trees as `TreeEnsemble`, from `Booster.dump_model`."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from bundling.native import NotCompilable
from bundling.trees.ensemble import Link, Tree, TreeEnsemble

_LINKS: Final[Mapping[str, Link]] = {
    "binary": "logistic",
    "cross_entropy": "logistic",
    "fair": "identity",
    "huber": "identity",
    "lambdarank": "identity",
    "mape": "identity",
    "multiclass": "softmax",
    "quantile": "identity",
    "regression": "identity",
    "regression_l1": "identity",
}


def read_lightgbm(estimator: Any) -> TreeEnsemble:
    """A Booster, LGBMClassifier or LGBMRegressor. Raises NotCompilable for splits on categories,
    linear leaves, zeros taken for missing against their order, and objectives whose output is
    neither the margin, a logistic nor a softmax of it.
    """
    booster = getattr(estimator, "booster_", estimator)
    dump = booster.dump_model()
    objective, *words = str(dump.get("objective", "none")).split()
    if objective not in _LINKS or "sqrt" in words:
        raise NotCompilable(f"LightGBM's objective {objective} has no compiled form")
    link = _LINKS[objective]
    targets = int(dump["num_tree_per_iteration"])
    infos = dump["tree_info"]
    # `binary` stretches the margin before the logistic; here the leaves are stretched instead.
    factor = next((float(w.split(":")[1]) for w in words if w.startswith("sigmoid:")), 1.0)
    if link != "logistic":
        factor = 1.0
    if dump.get("average_output"):
        factor /= max(1, len(infos) // targets)
    trees = tuple(
        _Reader(number % targets, targets, factor).read(info["tree_structure"])
        for number, info in enumerate(infos)
    )
    classes = getattr(estimator, "classes_", None)
    return TreeEnsemble(
        trees,
        int(dump["max_feature_idx"]) + 1,
        np.zeros(targets),
        link,
        "value" if link == "identity" else "log-odds",
        float32=False,
        classes=None if classes is None else tuple(np.asarray(classes).tolist()),
    )


class _Reader:
    """Nested nodes to arrays, parents first."""

    def __init__(self, target: int, targets: int, factor: float) -> None:
        self._target, self._targets, self._factor = target, targets, factor
        self._rows: list[list[Any]] = []  # feature, threshold, left, right, missing left, leaf, n

    def read(self, root: Mapping[str, Any]) -> Tree:
        self._add(root)
        feature, threshold, left, right, missing, leaf, cover = zip(*self._rows, strict=True)
        value = np.zeros((len(self._rows), self._targets))
        value[:, self._target] = np.asarray(leaf, np.float64) * self._factor
        return Tree(
            np.asarray(feature, np.int64),
            np.asarray(threshold, np.float64),
            np.asarray(left, np.int64),
            np.asarray(right, np.int64),
            np.asarray(missing, np.bool_),
            value,
            np.asarray(cover, np.float64),
        )

    def _add(self, node: Mapping[str, Any]) -> int:
        place = len(self._rows)
        if "split_feature" not in node:
            if "leaf_coeff" in node:
                raise NotCompilable("LightGBM's linear trees have no compiled form")
            count = node.get("leaf_count", 1)
            self._rows.append([-1, 0.0, -1, -1, False, node["leaf_value"], count])
            return place
        threshold, missing_left = _split(node)
        row = [node["split_feature"], threshold, 0, 0, missing_left, 0.0, node["internal_count"]]
        self._rows.append(row)
        row[2] = self._add(node["left_child"])
        row[3] = self._add(node["right_child"])
        return place


def _split(node: Mapping[str, Any]) -> tuple[float, bool]:
    """The threshold, and where a missing value goes.

    Of a feature that knows no missing values NaN counts as 0. Where zeros are the missing values,
    NaN and 0 both take the default direction, which only fits if 0 takes it by its size as well.
    """
    if node["decision_type"] != "<=":
        raise NotCompilable("LightGBM's splits on categories have no compiled form")
    threshold = float(node["threshold"])
    zero_left = threshold >= 0.0
    if node["missing_type"] == "NaN":
        return threshold, bool(node["default_left"])
    if node["missing_type"] == "Zero" and bool(node["default_left"]) != zero_left:
        raise NotCompilable("LightGBM's zeros as missing values have no compiled form")
    return threshold, zero_left
