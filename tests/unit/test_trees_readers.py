"""Tree ensembles of three libraries in one form: adding up leaves gives what the library gives."""

from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from numpy.typing import NDArray
from sklearn import ensemble, tree
from sklearn.linear_model import LogisticRegression

from bundling.native import NotCompilable
from bundling.trees.ensemble import Tree, TreeEnsemble, renumbered
from bundling.trees.reader import is_tree_ensemble, read_ensemble

LGBM: dict[str, Any] = {"n_estimators": 15, "verbose": -1, "n_jobs": 1}
XGB: dict[str, Any] = {"n_estimators": 15, "max_depth": 4, "n_jobs": 1}
Margins = NDArray[np.float64]


def numbers(gaps: bool) -> pd.DataFrame:
    """300 records of four numbers; with `gaps` a tenth of them is missing."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 4))
    if gaps:
        values[rng.random(values.shape) < 0.1] = np.nan
    return pd.DataFrame(values, columns=list("abcd"))


def target(kind: str) -> NDArray[Any]:
    """Two classes, three classes, or a value."""
    whole = numbers(gaps=False)
    value: NDArray[np.float64] = (whole["a"] + whole["b"] * whole["c"]).to_numpy()
    kinds: dict[str, NDArray[Any]] = {
        "two": value > 0.2,
        "three": np.digitize(value, [-0.5, 0.5]),
        "value": value,
    }
    return kinds[kind]


def summed(found: TreeEnsemble, frame: pd.DataFrame) -> Margins:
    """The margins (n, targets), record by record down every tree."""
    x = frame.to_numpy(dtype=np.float64)
    x = x.astype(np.float32).astype(np.float64) if found.float32 else x
    margins = np.tile(found.base, (len(x), 1)).astype(np.float64)
    rows = np.arange(len(x))
    for one in found.trees:
        node = np.zeros(len(x), dtype=np.int64)
        while (inner := one.left[node] >= 0).any():
            value = x[rows, np.maximum(one.feature[node], 0)]
            goes_left = np.where(
                np.isnan(value), one.missing_left[node], value <= one.threshold[node]
            )
            node = np.where(inner, np.where(goes_left, one.left[node], one.right[node]), node)
        margins += one.value[node]
    return margins


def outputs(found: TreeEnsemble, margins: Margins) -> Margins:
    """What the link makes of the margins."""
    if found.link == "softmax":
        powers = np.exp(margins - margins.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    second = 1 / (1 + np.exp(-margins)) if found.link == "logistic" else margins
    if found.classes is not None and found.targets == 1:
        return np.hstack([1 - second, second])
    return second


FAMILIES: list[tuple[Any, str, bool]] = [
    (tree.DecisionTreeClassifier(random_state=0), "three", False),
    (tree.DecisionTreeRegressor(random_state=0), "value", True),
    (ensemble.RandomForestClassifier(10, random_state=0), "two", True),
    (ensemble.RandomForestClassifier(10, random_state=0, class_weight="balanced"), "three", False),
    (ensemble.RandomForestRegressor(10, random_state=0), "value", False),
    (ensemble.ExtraTreesClassifier(10, random_state=0, bootstrap=True), "two", False),
    (ensemble.ExtraTreesRegressor(10, random_state=0), "value", False),
    (ensemble.GradientBoostingClassifier(n_estimators=10), "two", False),
    (ensemble.GradientBoostingClassifier(n_estimators=10, init="zero"), "two", False),
    (ensemble.GradientBoostingClassifier(n_estimators=10), "three", False),
    (ensemble.GradientBoostingRegressor(n_estimators=10), "value", False),
    (ensemble.HistGradientBoostingClassifier(max_iter=10), "two", True),
    (ensemble.HistGradientBoostingClassifier(max_iter=10), "three", True),
    (ensemble.HistGradientBoostingRegressor(max_iter=10), "value", True),
    (xgboost.XGBClassifier(**XGB), "two", True),
    (xgboost.XGBClassifier(**XGB, gamma=0.5), "three", True),
    (xgboost.XGBRegressor(**XGB, gamma=1.0), "value", True),
    (xgboost.XGBRegressor(**XGB, base_score=0.25), "value", False),
    (xgboost.XGBRFRegressor(n_estimators=5, n_jobs=1), "value", False),
    (lightgbm.LGBMClassifier(**LGBM), "two", True),
    (lightgbm.LGBMClassifier(**LGBM, boosting_type="dart"), "three", False),
    (lightgbm.LGBMRegressor(**LGBM), "value", True),
    (
        lightgbm.LGBMClassifier(
            **LGBM, boosting_type="rf", subsample=0.5, subsample_freq=1, sigmoid=2.0
        ),
        "two",
        False,
    ),
]


@pytest.mark.parametrize(("model", "kind", "gaps"), FAMILIES)
def test_the_leaves_add_up_to_the_models_output(model: Any, kind: str, gaps: bool) -> None:
    """On the training records and beside them, with missing numbers where they were in training."""
    frame = numbers(gaps)
    model.fit(frame, target(kind))
    shifted = frame * 1.1 + 0.05
    found = read_ensemble(model)
    predict = getattr(model, "predict_proba", model.predict)
    expected = np.asarray(predict(shifted)).reshape(len(frame), -1)
    # XGBoost adds up in float32, the others in float64.
    tolerance = 2e-6 if "xgboost" in type(model).__module__ else 1e-12
    np.testing.assert_allclose(outputs(found, summed(found, shifted)), expected, atol=tolerance)
    assert found.classes == (tuple(model.classes_.tolist()) if hasattr(model, "classes_") else None)


@pytest.mark.parametrize(("model", "kind", "gaps"), FAMILIES)
def test_parents_come_first_and_cover_their_children(model: Any, kind: str, gaps: bool) -> None:
    """What an explanation by weights needs of every tree."""
    for one in read_ensemble(model.fit(numbers(gaps), target(kind))).trees:
        inner = np.flatnonzero(one.left >= 0)
        assert (one.left[inner] > inner).all()
        assert (one.right[inner] > inner).all()
        children = one.cover[one.left[inner]] + one.cover[one.right[inner]]
        np.testing.assert_allclose(one.cover[inner], children, rtol=1e-5)
        assert (one.left[one.feature < 0] == -1).all()


def test_a_number_equal_to_an_xgboost_threshold_goes_right() -> None:
    """XGBoost compares with `<`, the common form with `<=`."""
    frame = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0] * 20})
    model = xgboost.XGBRegressor(n_estimators=1, max_depth=1, n_jobs=1).fit(frame, frame["a"] >= 2)
    found = read_ensemble(model)
    at = json_threshold(model)
    edges = pd.DataFrame({"a": [at, float(np.nextafter(np.float32(at), np.float32(-np.inf)))]})
    np.testing.assert_allclose(summed(found, edges)[:, 0], model.predict(edges), atol=1e-6)
    assert summed(found, edges)[0, 0] != summed(found, edges)[1, 0]


def json_threshold(model: Any) -> float:
    """The first split's, as XGBoost writes it."""
    return float(model.get_booster().trees_to_dataframe()["Split"].iloc[0])


def test_early_stopping_leaves_the_later_trees_out() -> None:
    """An estimator predicts with the trees up to its best round."""
    frame, labels = numbers(gaps=False), target("two")
    model = xgboost.XGBClassifier(n_estimators=100, early_stopping_rounds=2, n_jobs=1)
    model.fit(frame[:150], labels[:150], eval_set=[(frame[150:], labels[150:])], verbose=False)
    found = read_ensemble(model)
    assert len(found.trees) == model.best_iteration + 1 < len(model.get_booster().get_dump())
    np.testing.assert_allclose(
        outputs(found, summed(found, frame)), model.predict_proba(frame), atol=1e-6
    )


def test_a_lightgbm_feature_without_missing_values_takes_nan_for_zero() -> None:
    """As the library does when training saw none."""
    frame = numbers(gaps=False)
    model = lightgbm.LGBMRegressor(**LGBM).fit(frame, target("value"))
    gaps = numbers(gaps=True)
    found = read_ensemble(model)
    np.testing.assert_allclose(summed(found, gaps)[:, 0], model.predict(gaps), atol=1e-12)


def with_categories(model: Any) -> Any:
    """Fitted on a column of pandas' categories."""
    frame = numbers(gaps=False).assign(e=pd.Categorical(list("xyzxyz") * 50))
    return model.fit(frame, target("value"))


@pytest.mark.parametrize(
    "fitted",
    [
        lambda: LogisticRegression().fit(numbers(gaps=False), target("two")),
        lambda: with_categories(lightgbm.LGBMRegressor(**LGBM, min_child_samples=2)),
        lambda: with_categories(ensemble.HistGradientBoostingRegressor(max_iter=5)),
        lambda: lightgbm.LGBMRegressor(**LGBM, linear_tree=True).fit(
            numbers(gaps=False), target("value")
        ),
        lambda: lightgbm.LGBMRegressor(**LGBM, objective="poisson").fit(
            numbers(gaps=False), np.abs(target("value"))
        ),
        lambda: xgboost.XGBRegressor(booster="gblinear", n_estimators=3).fit(
            numbers(gaps=False), target("value")
        ),
        lambda: xgboost.XGBRegressor(missing=0.0, n_estimators=3).fit(
            numbers(gaps=False), target("value")
        ),
        lambda: ensemble.GradientBoostingClassifier(n_estimators=3, init=LogisticRegression()).fit(
            numbers(gaps=False), target("two")
        ),
        lambda: ensemble.HistGradientBoostingRegressor(loss="poisson", max_iter=3).fit(
            numbers(gaps=False), np.abs(target("value"))
        ),
        ensemble.RandomForestRegressor,  # not fitted
        lambda: ensemble.RandomForestRegressor(3).fit(
            numbers(gaps=False), np.column_stack([target("value")] * 2)
        ),
    ],
)
def test_what_the_form_cannot_say_is_refused(fitted: Callable[[], Any]) -> None:
    """Never read as something else."""
    with pytest.raises(NotCompilable):
        read_ensemble(fitted())


def test_kinds_are_told_apart() -> None:
    """A linear model is left to others."""
    assert is_tree_ensemble(xgboost.XGBClassifier())
    assert is_tree_ensemble(ensemble.ExtraTreesClassifier())
    assert not is_tree_ensemble(LogisticRegression())


def test_renumbering_drops_what_nothing_leads_to() -> None:
    """A pruned tree keeps its answers."""
    leaf = [-1, -1, -1]
    given = Tree(
        feature=np.array([0, *leaf]),
        threshold=np.array([0.5, 0.0, 0.0, 0.0]),
        left=np.array([3, *leaf]),
        right=np.array([1, *leaf]),
        missing_left=np.array([True, False, False, False]),
        value=np.array([[0.0], [1.0], [99.0], [2.0]]),
        cover=np.array([5.0, 2.0, 0.0, 3.0]),
    )
    made = renumbered(given)
    assert made.value[:, 0].tolist() == [0.0, 2.0, 1.0]
    assert (made.left[0], made.right[0]) == (1, 2)
