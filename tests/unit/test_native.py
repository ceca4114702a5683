"""The estimator behind a registered model: which flavors hold one, and what its parts are."""

from pathlib import Path
from typing import Any

import lightgbm
import mlflow.lightgbm
import mlflow.xgboost
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from bundling.native import NotCompilable, classes_of, load_native, native_model
from bundling.source import ModelSource, read_source
from tests.support.zoo import signature

FRAME = pd.DataFrame({"a": np.arange(40.0), "b": np.arange(40.0)[::-1] % 7})
LABELS = np.where(FRAME["a"] > 20, "high", "low")


def saved(flavor: Any, model: Any, directory: Path) -> ModelSource:
    """What packaging would have downloaded."""
    described = signature({"a": "double", "b": "double"})
    flavor.save_model(model, directory, signature=described, pip_requirements=[])
    return read_source(directory, "0" * 64)


def pipeline(*steps: Any) -> Pipeline:
    """A pipeline of these, fitted."""
    return Pipeline([(f"step{i}", step) for i, step in enumerate(steps)]).fit(FRAME, LABELS)


def test_a_pipeline_is_an_encoder_and_a_final_step() -> None:
    """Steps that do nothing are no part of the encoder."""
    native = native_model(pipeline("passthrough", StandardScaler(), LogisticRegression()))
    assert [type(step).__name__ for _, step in native.encoder.steps] == ["StandardScaler"]  # type: ignore[union-attr]
    assert isinstance(native.final, LogisticRegression)
    alone = native_model(pipeline("passthrough", LogisticRegression()))
    assert alone.encoder is None
    assert isinstance(alone.final, LogisticRegression)


def test_a_search_stands_for_its_winner() -> None:
    """Its `predict` is the winner's."""
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).fit(FRAME, LABELS)
    assert native_model(search).final is search.best_estimator_


def test_labels_are_plain_values() -> None:
    """In the order of the probabilities; a regression has none."""
    labels = classes_of(native_model(pipeline(StandardScaler(), LogisticRegression())))
    assert labels == ["high", "low"]
    whole = classes_of(native_model(LogisticRegression().fit(FRAME, FRAME["a"] > 20)))
    assert whole == [False, True]
    assert classes_of(native_model(Ridge().fit(FRAME, FRAME["a"]))) is None
    both = np.column_stack([FRAME["a"] > 20, FRAME["a"] > 10])
    several = native_model(DecisionTreeClassifier().fit(FRAME, both))
    assert classes_of(several) is None


@pytest.mark.filterwarnings("ignore")  # MLflow's, none of ours
def test_xgboost_and_lightgbm_are_loaded_by_their_flavors(tmp_path: Path) -> None:
    """A classifier keeps its classes, a booster has none."""
    model = xgboost.XGBClassifier(n_estimators=2, n_jobs=1).fit(FRAME, FRAME["a"] > 20)
    native = load_native(saved(mlflow.xgboost, model, tmp_path / "xgboost"))
    assert isinstance(native.final, xgboost.XGBClassifier)
    assert classes_of(native) == [0, 1]
    data = lightgbm.Dataset(FRAME, FRAME["b"])
    booster = lightgbm.train({"verbose": -1, "num_threads": 1}, data, 2)
    native = load_native(saved(mlflow.lightgbm, booster, tmp_path / "lightgbm"))
    assert isinstance(native.final, lightgbm.Booster)
    assert classes_of(native) is None


def test_other_flavors_hold_no_estimator(tmp_path: Path) -> None:
    """The words are what the manifest says of it."""
    source = ModelSource(tmp_path, "0" * 64, [], [], None, frozenset({"python_function"}))
    with pytest.raises(NotCompilable, match="scikit-learn, XGBoost or LightGBM"):
        load_native(source)


def test_a_model_that_its_library_cannot_load(tmp_path: Path) -> None:
    """Is a reason, not a failure: pyfunc may still score it."""
    source = ModelSource(tmp_path, "0" * 64, [], [], None, frozenset({"sklearn"}))
    with pytest.raises(NotCompilable, match="sklearn cannot load the model"):
        load_native(source)
