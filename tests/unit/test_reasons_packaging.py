"""Packaging takes the most exact method that is proved, and says why it was not a better one."""

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from numpy.typing import NDArray
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import (
    ElasticNet,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import LinearSVR

from bundling.reasons.margins import own_margins
from tests.support.explained import (
    chosen_for,
    encoder,
    fitted,
    people,
    target,
)

TWO = ("no", "yes")
THREE = ("low", "middle", "high")


def own(pipeline: Pipeline, scale: str | None) -> NDArray[np.float64]:
    """The margins (records, targets) as the model's own library gives them."""
    return own_margins(pipeline[-1], pipeline[:-1].transform(people()), str(scale))


@pytest.mark.parametrize(
    ("final", "scale"),
    [
        (LogisticRegression(), "log-odds"),
        (SGDClassifier(loss="log_loss", random_state=0), "log-odds"),
        (HistGradientBoostingClassifier(max_iter=20), "log-odds"),
        (GradientBoostingClassifier(n_estimators=20, random_state=0), "log-odds"),
        (xgboost.XGBClassifier(n_estimators=20), "log-odds"),
        (lightgbm.LGBMClassifier(n_estimators=20, verbosity=-1), "log-odds"),
    ],
)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_log_odds_of_the_positive_label(final: Any, scale: str, tmp_path: Path) -> None:
    """Base and contributions are the log-odds of whichever class is the positive one."""
    pipeline = fitted(final, 2)
    log_odds = own(pipeline, scale)[:, 0]
    for positive, sign in (("yes", 1.0), ("no", -1.0)):
        (tmp_path / positive).mkdir()
        chosen = chosen_for(pipeline, tmp_path / positive, TWO, positive)
        assert (chosen.spec.scale, chosen.spec.explains) == (scale, [positive]), chosen.spec.detail
        assert chosen.sums() == pytest.approx(sign * log_odds, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("positive", "place"), [("no", 0), ("yes", 1)])
def test_a_forest_is_explained_in_probability(positive: str, place: int, tmp_path: Path) -> None:
    """A forest averages probabilities, so these are what its contributions add up to."""
    pipeline = fitted(RandomForestClassifier(10, random_state=0), 2)
    chosen = chosen_for(pipeline, tmp_path, TWO, positive)
    assert (chosen.spec.method, chosen.spec.scale) == ("tree", "probability")
    probability = pipeline.predict_proba(people())[:, place]
    assert chosen.sums() == pytest.approx(probability, abs=1e-9)


@pytest.mark.parametrize(
    "final",
    [
        LogisticRegression(),
        HistGradientBoostingClassifier(max_iter=10),
        RandomForestClassifier(10, random_state=0),
        xgboost.XGBClassifier(n_estimators=10),
        lightgbm.LGBMClassifier(n_estimators=10, verbosity=-1),
    ],
)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_of_several_classes_the_highest(final: Any, tmp_path: Path) -> None:
    """Each record's class of the highest margin is the one explained."""
    pipeline = fitted(final, 3)
    chosen = chosen_for(pipeline, tmp_path, THREE)
    assert chosen.spec.method == ("linear" if isinstance(final, LogisticRegression) else "tree")
    assert chosen.spec.explains == list(THREE)
    assert chosen.sums() == pytest.approx(own(pipeline, None).max(axis=1), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("final", "method"),
    [
        (Ridge(), "linear"),
        (ElasticNet(alpha=0.01), "linear"),
        (LinearSVR(random_state=0), "linear"),
        (GradientBoostingRegressor(n_estimators=20, random_state=0), "tree"),
        (ExtraTreesRegressor(10, random_state=0), "tree"),
        (xgboost.XGBRegressor(n_estimators=30), "tree"),
        (lightgbm.LGBMRegressor(n_estimators=20, verbosity=-1), "tree"),
    ],
)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_a_regression_is_explained_in_its_value(final: Any, method: str, tmp_path: Path) -> None:
    """Base and contributions are the prediction."""
    pipeline = fitted(final)
    chosen = chosen_for(pipeline, tmp_path)
    assert (chosen.spec.method, chosen.spec.scale) == (method, "value"), chosen.spec.detail
    assert chosen.sums() == pytest.approx(pipeline.predict(people()), rel=1e-6, abs=1e-6)


def test_rounding_of_the_library_is_not_held_against_the_method(tmp_path: Path) -> None:
    """XGBoost adds up hundreds of trees in float32, so its own margin is off by more than 1e-6."""
    pipeline = fitted(xgboost.XGBRegressor(n_estimators=300))
    chosen = chosen_for(pipeline, tmp_path)
    assert chosen.spec.method == "tree", chosen.spec.detail
    assert chosen.sums() == pytest.approx(pipeline.predict(people()), rel=5e-6, abs=5e-6)


def test_a_generalised_linear_model_on_the_log_scale(tmp_path: Path) -> None:
    """A Poisson regression is additive in the logarithm of its prediction."""
    frame = people()
    counts = np.floor(np.exp(target(frame) / 3))
    pipeline = make_pipeline(encoder(), PoissonRegressor()).fit(frame, counts)
    chosen = chosen_for(pipeline, tmp_path)
    assert (chosen.spec.method, chosen.spec.scale) == ("linear", "log"), chosen.spec.detail
    assert np.exp(chosen.sums()) == pytest.approx(pipeline.predict(frame), rel=1e-9)


def test_labels_are_explained_by_the_margin_behind_them(tmp_path: Path) -> None:
    """A classifier that returns labels has a margin all the same."""
    pipeline = fitted(RidgeClassifier(), 2)
    chosen = chosen_for(pipeline, tmp_path, kind="boolean")
    assert (chosen.spec.method, chosen.spec.explains) == ("linear", ["prediction"])
    assert chosen.sums() == pytest.approx(pipeline.decision_function(people()), rel=1e-9)


def test_the_same_record_gets_the_same_bits(tmp_path: Path) -> None:
    """Alone, among others, and in another order."""
    for final in (LogisticRegression(), HistGradientBoostingClassifier(max_iter=10)):
        work = tmp_path / type(final).__name__
        work.mkdir()
        chosen = chosen_for(fitted(final, 2), work, TWO, "yes")
        assert chosen.explainer is not None
        whole = chosen.explainer.explain(chosen.batch)
        order = np.arange(len(chosen.batch))[::-1]
        turned = chosen.explainer.explain(chosen.batch.take(order))
        assert np.array_equal(turned.contributions[::-1], whole.contributions)
        for place in range(0, len(chosen.batch), 17):
            alone = chosen.explainer.explain(chosen.batch.slice(place, place + 1))
            assert np.array_equal(alone.contributions[0], whole.contributions[place])
            assert alone.base[0] == whole.base[place]
