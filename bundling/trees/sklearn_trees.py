"""scikit-learn's trees, forests and boosted ensembles as `TreeEnsemble`."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundling.native import NotCompilable
from bundling.trees.ensemble import Link, Tree, TreeEnsemble


def read_sklearn(estimator: Any) -> TreeEnsemble:
    """DecisionTree, RandomForest, ExtraTrees, GradientBoosting and HistGradientBoosting.

    Raises NotCompilable for any other estimator, several targets, splits on categories, and losses
    whose output is neither the margin, a logistic nor a softmax of it.
    """
    reader = sklearn_reader(estimator)
    if reader is None:
        raise NotCompilable(f"{type(estimator).__name__} is no tree ensemble that trilane reads")
    return reader(estimator)


def sklearn_reader(estimator: Any) -> Callable[[Any], TreeEnsemble] | None:
    """What reads an estimator of this kind; None for one that is no tree ensemble."""
    import sklearn.ensemble as ensemble
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    readers: list[tuple[tuple[type, ...], Callable[[Any], TreeEnsemble]]] = [
        ((ensemble.RandomForestClassifier, ensemble.ExtraTreesClassifier), _forest_classifier),
        ((DecisionTreeClassifier,), _forest_classifier),
        ((ensemble.RandomForestRegressor, ensemble.ExtraTreesRegressor), _forest_regressor),
        ((DecisionTreeRegressor,), _forest_regressor),
        ((ensemble.GradientBoostingClassifier, ensemble.GradientBoostingRegressor), _boosting),
        ((ensemble.HistGradientBoostingClassifier,), _histogram_boosting),
        ((ensemble.HistGradientBoostingRegressor,), _histogram_boosting),
    ]
    return next((reader for kinds, reader in readers if isinstance(estimator, kinds)), None)


def sklearn_tree(tree: Any, value: NDArray[np.float64], features: Any = None) -> Tree:
    """A `sklearn.tree._tree.Tree` with these values (nodes, targets); `features` are the columns
    behind the ones it was grown on, where it saw only some.
    """
    leaf = tree.children_left == -1
    columns = tree.feature if features is None else np.asarray(features)[tree.feature]
    return Tree(
        np.where(leaf, -1, columns).astype(np.int64),
        np.where(leaf, 0.0, tree.threshold).astype(np.float64),
        np.asarray(tree.children_left, np.int64),
        np.asarray(tree.children_right, np.int64),
        np.asarray(tree.missing_go_to_left, np.bool_) & ~leaf,
        np.where(leaf[:, np.newaxis], value, 0.0),
        np.asarray(tree.weighted_n_node_samples, np.float64),
    )


def _members(estimator: Any) -> Sequence[Any]:
    if estimator.n_outputs_ != 1:
        raise NotCompilable("a forest with several targets has no compiled form")
    return list(getattr(estimator, "estimators_", [estimator]))


def _forest_classifier(forest: Any) -> TreeEnsemble:
    """Leaves hold the classes' shares of the training records; a forest gives their mean."""
    members = _members(forest)
    classes = _labels(forest.classes_)
    trees = []
    for member in members:
        shares = member.tree_.value[:, 0, :]
        shares = shares / shares.sum(axis=1, keepdims=True) / len(members)
        trees.append(sklearn_tree(member.tree_, shares[:, 1:] if len(classes) == 2 else shares))
    base = np.zeros(1 if len(classes) == 2 else len(classes))
    width = int(forest.n_features_in_)
    return TreeEnsemble(tuple(trees), width, base, "identity", "probability", True, classes)


def _forest_regressor(forest: Any) -> TreeEnsemble:
    members = _members(forest)
    trees = [sklearn_tree(m.tree_, m.tree_.value[:, 0, :] / len(members)) for m in members]
    width = int(forest.n_features_in_)
    return TreeEnsemble(tuple(trees), width, np.zeros(1), "identity", "value", True, None)


def _boosting(model: Any) -> TreeEnsemble:
    """Friedman's gradient boosting: the initial prediction and shrunken trees add up."""
    from sklearn.dummy import DummyClassifier, DummyRegressor

    initial = model.init_
    if initial != "zero" and not isinstance(initial, DummyClassifier | DummyRegressor):
        raise NotCompilable("gradient boosting that starts from another model has no compiled form")
    if model.loss == "exponential":
        raise NotCompilable("gradient boosting with the exponential loss has no compiled form")
    targets = model.estimators_.shape[1]
    width = int(model.n_features_in_)
    trees = []
    for stage in model.estimators_:
        for target, member in enumerate(stage):
            value = np.zeros((member.tree_.node_count, targets))
            value[:, target] = model.learning_rate * member.tree_.value[:, 0, 0]
            trees.append(sklearn_tree(member.tree_, value))
    base = np.asarray(model._raw_predict_init(np.zeros((1, width), np.float32)), np.float64)[0]
    return _margins(model, trees, base, float32=True)


def _histogram_boosting(model: Any) -> TreeEnsemble:
    if model.is_categorical_ is not None and np.any(model.is_categorical_):
        raise NotCompilable("histogram boosting with categorical features has no compiled form")
    if not hasattr(model, "classes_") and type(model._loss.link).__name__ != "IdentityLink":
        raise NotCompilable(f"the loss '{model.loss}' has no compiled form")
    base = np.asarray(model._baseline_prediction, np.float64).reshape(-1)
    trees = [
        _predictor_tree(predictor.nodes, target, len(base))
        for stage in model._predictors
        for target, predictor in enumerate(stage)
    ]
    return _margins(model, trees, base, float32=False)


def _predictor_tree(nodes: Any, target: int, targets: int) -> Tree:
    leaf = nodes["is_leaf"].astype(np.bool_)
    value = np.zeros((len(nodes), targets))
    value[:, target] = np.where(leaf, nodes["value"], 0.0)
    # Feature and children are unsigned: they are widened before a -1 is put in.
    feature, left, right = (
        np.where(leaf, -1, nodes[name].astype(np.int64))
        for name in ("feature_idx", "left", "right")
    )
    return Tree(
        feature,
        np.where(leaf, 0.0, nodes["num_threshold"]).astype(np.float64),
        left,
        right,
        nodes["missing_go_to_left"].astype(np.bool_) & ~leaf,
        value,
        nodes["count"].astype(np.float64),
    )


def _margins(
    model: Any, trees: list[Tree], base: NDArray[np.float64], float32: bool
) -> TreeEnsemble:
    width = int(model.n_features_in_)
    if not hasattr(model, "classes_"):
        return TreeEnsemble(tuple(trees), width, base, "identity", "value", float32, None)
    link: Link = "logistic" if len(base) == 1 else "softmax"
    classes = _labels(model.classes_)
    return TreeEnsemble(tuple(trees), width, base, link, "log-odds", float32, classes)


def _labels(classes: Any) -> tuple[Any, ...]:
    labels = tuple(np.asarray(classes).tolist())
    if len(labels) < 2:
        raise NotCompilable("a classifier of a single class has no compiled form")
    return labels
