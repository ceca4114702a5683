"""Every family that is compiled: the graph gives the estimator's output, in any batch the same."""

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import xgboost
from sklearn import ensemble, linear_model, svm
from sklearn.compose import ColumnTransformer
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier

from bundling.graphs.model import compile_encoder, compile_model
from bundling.native import NotCompilable, native_model
from bundling.parity.proof import TOLERANCE
from scoring.errors import ModelError
from scoring.schema import Schema
from scoring.validation import validate_rows
from tests.support.compiling import compile_fitted, schema_of
from tests.support.zoo import as_rows


def people() -> pd.DataFrame:
    """300 records: two floats, a whole number, a flag, two texts; the texts come first."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "role": rng.choice(["lead", "junior", "senior"], 300),
            "x": rng.normal(size=300),
            "y": rng.normal(size=300),
            "city": rng.choice(["Oslo", "Bonn", "Łódź"], 300),
            "n": rng.integers(0, 6, 300),
            "flag": rng.random(300) < 0.4,
        }
    )


def target(kind: str) -> Any:
    """Two classes, three classes, or a value."""
    frame = people()
    value = frame["x"] + frame["n"] / 3 + (frame["city"] == "Oslo")
    kinds = {"two": value > 1.0, "three": np.digitize(value, [0.5, 1.5]), "value": value}
    return kinds[kind]


def encoder(numbers: Any = "passthrough") -> ColumnTransformer:
    """Codes of the text first, then the numbers, the flag through its own code."""
    codes = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer(
        [("text", codes, ["role", "city", "flag"]), ("numbers", numbers, ["x", "y", "n"])]
    )


LGBM: dict[str, Any] = {"n_estimators": 10, "verbose": -1, "n_jobs": 1}
CLASSIFIERS = [
    linear_model.LogisticRegression(max_iter=500),
    DecisionTreeClassifier(random_state=0),
    ensemble.RandomForestClassifier(20, random_state=0),
    ensemble.ExtraTreesClassifier(20, random_state=0),
    ensemble.GradientBoostingClassifier(n_estimators=10),
    ensemble.HistGradientBoostingClassifier(max_iter=10),
    xgboost.XGBClassifier(n_estimators=10, n_jobs=1),
    lightgbm.LGBMClassifier(**LGBM),
]
REGRESSIONS = [
    linear_model.LinearRegression(),
    linear_model.Ridge(),
    linear_model.Lasso(0.01),
    linear_model.ElasticNet(0.01),
    svm.LinearSVR(),
    ensemble.ExtraTreesRegressor(20, random_state=0),
    ensemble.RandomForestRegressor(20, random_state=0),
    ensemble.GradientBoostingRegressor(n_estimators=10),
    ensemble.HistGradientBoostingRegressor(max_iter=10),
    xgboost.XGBRegressor(n_estimators=10, n_jobs=1),
    lightgbm.LGBMRegressor(**LGBM),
]
LABELLED = [
    linear_model.RidgeClassifier(),
    linear_model.SGDClassifier(random_state=0),
    svm.LinearSVC(),
]


@pytest.mark.parametrize("kind", ["two", "three"])
@pytest.mark.parametrize("model", CLASSIFIERS)
def test_probabilities(model: Any, kind: str, tmp_path: Path) -> None:
    """Equal to the estimator's in float64, and the same bits alone and in any batch."""
    fitted = make_pipeline(encoder(), model).fit(people(), target(kind).astype(int))
    compiled = compile_fitted(fitted, people(), tmp_path, method="predict_proba")
    assert len(compiled.expected) == (2 if kind == "two" else 3)
    assert compiled.difference() < TOLERANCE
    assert compiled.width() is None


@pytest.mark.parametrize("model", REGRESSIONS)
def test_values(model: Any, tmp_path: Path) -> None:
    """Of regressions behind a scaler."""
    fitted = make_pipeline(encoder(StandardScaler()), model).fit(people(), target("value"))
    compiled = compile_fitted(fitted, people(), tmp_path)
    assert compiled.difference() < TOLERANCE
    assert compiled.width() is None


@pytest.mark.parametrize("labels", ["two", "three", "words", "whole"])
@pytest.mark.parametrize("model", [*CLASSIFIERS[:4], *LABELLED])
def test_labels_keep_their_type(model: Any, labels: str, tmp_path: Path) -> None:
    """Boolean, long or string, as the estimator's `predict` returns them."""
    truth = target("two" if labels in ("two", "words") else "three")
    if labels == "words":
        truth = np.where(truth, "yes", "no")
    fitted = make_pipeline(encoder(RobustScaler()), model).fit(people(), truth)
    compiled = compile_fitted(fitted, people(), tmp_path)
    assert compiled.difference() == 0.0
    got = compiled.backend.compute(compiled.batch)["output_0"]
    expected = np.asarray(fitted.predict(people()))
    assert got.dtype.kind == {"b": "b", "i": "i"}.get(expected.dtype.kind, "O")


@pytest.mark.parametrize("scaler", [MinMaxScaler(), RobustScaler(), PolynomialFeatures(2)])
def test_transformers_of_numbers(scaler: Any, tmp_path: Path) -> None:
    """Alone before the model, in float64: skl2onnx's own would put columns together in float32."""
    frame = people()[["x", "y", "n"]]
    fitted = make_pipeline(scaler, linear_model.Ridge()).fit(frame, target("value"))
    compiled = compile_fitted(fitted, frame, tmp_path)
    assert compiled.difference() < TOLERANCE
    assert compiled.width() is None


def test_an_estimator_that_only_skl2onnx_knows(tmp_path: Path) -> None:
    """Is converted whole."""
    network = MLPRegressor(hidden_layer_sizes=(4,), solver="lbfgs", max_iter=5000, random_state=0)
    fitted = make_pipeline(encoder(MinMaxScaler()), network).fit(people(), target("value"))
    assert compile_fitted(fitted, people(), tmp_path).difference() < TOLERANCE


@pytest.mark.parametrize("float_type", ["double", "float"])
def test_both_float_types(float_type: Any, tmp_path: Path) -> None:
    """float32 is what remains where float64 has no graph."""
    model = linear_model.LogisticRegression(max_iter=500)
    fitted = make_pipeline(encoder(MinMaxScaler()), model).fit(people(), target("two"))
    compiled = compile_fitted(
        fitted, people(), tmp_path, method="predict_proba", float_type=float_type
    )
    near = compiled.batch.slice(0, 100)  # without the edge cases, too large for float32
    got = compiled.backend.compute(near)["output_1"]
    assert np.abs(got - compiled.expected["output_1"][:100]).max() < TOLERANCE


def test_columns_with_any_names(tmp_path: Path) -> None:
    """Names of the graph's own, signs and accents are no special names."""
    names = {"x": "numeric", "role": "text", "city": "label", "y": "Pay (%) é", "n": "variable"}
    frame = people().rename(columns=names)
    codes = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer(
        [("t", codes, ["label", "text"]), ("n", StandardScaler(), ["Pay (%) é", "numeric"])],
        remainder="passthrough",
    )
    model = make_pipeline(columns, linear_model.LogisticRegression(max_iter=500))
    fitted = model.fit(frame, target("two"))
    assert compile_fitted(fitted, frame, tmp_path, method="predict_proba").difference() < TOLERANCE


def test_zeros_of_a_sparse_matrix_are_missing_to_xgboost(tmp_path: Path) -> None:
    """The graph, which has no sparse matrix, says so by NaN."""
    codes = ColumnTransformer(
        [("t", OneHotEncoder(), ["role", "city"])], remainder="passthrough", sparse_threshold=1.0
    )
    model = make_pipeline(codes, xgboost.XGBClassifier(n_estimators=20, n_jobs=1))
    fitted = model.fit(people(), target("two"))
    assert fitted[0].sparse_output_
    assert (
        compile_fitted(fitted, people(), tmp_path, method="predict_proba").difference() < TOLERANCE
    )


def test_the_encoder_alone(tmp_path: Path) -> None:
    """Its output is the matrix that the final estimator receives, rounded only if asked."""
    fitted = make_pipeline(encoder(StandardScaler()), linear_model.Ridge())
    fitted.fit(people(), target("value"))
    schema = schema_of(people())
    batch = validate_rows(schema, as_rows(people(), 50), [str(i) for i in range(50)]).batch
    numeric = np.column_stack([batch.columns[i] for i in (1, 2, 4, 5)]).astype(np.float64)
    text = np.column_stack([batch.columns[i] for i in (0, 3)])
    expected = fitted[0].transform(people().head(50))
    for float32 in (False, True):
        graph = compile_encoder(native_model(fitted), schema, float32)
        session = onnxruntime.InferenceSession(graph.SerializeToString())
        (found,) = session.run(["encoded"], {"numeric": numeric, "text": text})
        wanted = expected.astype(np.float32).astype(np.float64) if float32 else expected
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-15 if float32 else 1e-14)


def test_text_or_dates_without_an_encoder_have_no_graph() -> None:
    """A reason in words, no graph that ignores a column."""
    native = native_model(linear_model.Ridge().fit([[0.0], [1.0]], [0.0, 1.0]))
    for kind, words in (("string", "text"), ("datetime", "date-time")):
        schema = Schema.from_signature([{"name": "a", "type": kind}])
        with pytest.raises(NotCompilable, match=words):
            compile_encoder(native, schema)


def test_trees_of_other_columns_have_no_graph() -> None:
    """One column too few in the signature: nothing is read beyond a record."""
    forest = ensemble.RandomForestClassifier(3).fit(people()[["x", "y"]], target("two"))
    with pytest.raises(NotCompilable, match="another number of columns"):
        compile_model(native_model(forest), schema_of(people()[["x"]]), "double")


def test_a_forest_refuses_what_float32_cannot_hold(tmp_path: Path) -> None:
    """As scikit-learn does; histogram boosting, in float64, takes it."""
    frame = people()[["x", "y"]]
    huge = {"x": 1e39, "y": 0.0}
    forest = ensemble.RandomForestClassifier(5, random_state=0).fit(frame, target("two"))
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="too large"):
        forest.predict(pd.DataFrame([huge]))
    compiled = compile_fitted(forest, frame, tmp_path, method="predict_proba")
    batch = validate_rows(compiled.schema, [huge], ["huge"]).batch
    with pytest.raises(ModelError):
        compiled.backend.compute(batch)
    boosted = ensemble.HistGradientBoostingClassifier(max_iter=5).fit(frame, target("two"))
    taken = compile_fitted(boosted, frame, tmp_path, method="predict_proba")
    assert (
        taken.backend.compute(batch)["output_1"]
        == boosted.predict_proba(pd.DataFrame([huge]))[:, 1]
    )


@pytest.mark.parametrize(
    ("final", "kind", "method"),
    [
        (linear_model.LogisticRegression(), "two", "predict_proba"),
        (linear_model.LogisticRegression(), "three", "predict"),
        (linear_model.Ridge(), "value", "predict"),
        (svm.LinearSVC(random_state=0), "two", "predict"),
    ],
)
def test_a_linear_model_refuses_what_its_scaler_cannot_hold(
    tmp_path: Path, final: Any, kind: str, method: str
) -> None:
    """A double that becomes infinite behind the scaler; the records beside it are computed."""
    frame = people()[["x", "y"]] / 10
    model = make_pipeline(StandardScaler(), final).fit(frame, target(kind))
    huge = {"x": 1.7e308, "y": 0.0}
    with np.errstate(over="ignore"), pytest.raises(ValueError, match=r"infinity|too large"):
        getattr(model, method)(pd.DataFrame([huge]))
    compiled = compile_fitted(model, frame, tmp_path, method=method)
    rows = validate_rows(compiled.schema, [huge, {"x": 1.0, "y": 0.0}], ["huge", "good"]).batch
    with pytest.raises(ModelError):
        compiled.backend.compute(rows.slice(0, 1))
    assert len(compiled.backend.compute(rows.slice(1, 2))["output_0"]) == 1
