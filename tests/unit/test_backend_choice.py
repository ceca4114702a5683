"""Packaging's choice of a backend, with models that MLflow saved: what is chosen, and why."""

from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from bundling.backend import ChosenBackend, choose_backend
from bundling.config import ModelEntry
from bundling.parity.known_values import with_known_categories
from bundling.parity.proof import parity_batch
from bundling.source import read_source
from scoring.backends.onnx import OnnxBackend
from scoring.errors import ConfigurationError, ModelError
from scoring.schema import Schema
from scoring.validation import validate_rows
from tests.support.compiling import schema_of
from tests.support.zoo import as_rows, signature

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's and scikit-learn's, none of ours

KINDS = {"role": "string", "n": "long", "x": "double"}
TRUSTED = [
    "numpy.dtype",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
]


def frame() -> pd.DataFrame:
    """120 records."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "role": rng.choice(["lead", "junior"], 120),
            "n": rng.integers(0, 5, 120),
            "x": rng.normal(size=120),
        }
    )


def target() -> Any:
    """Two words."""
    return np.where(frame()["x"] + frame()["n"] > 2, "yes", "no")


def pipeline(numbers: Any, model: Any) -> Any:
    """One-hot codes and numbers before a model, fitted."""
    codes = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer([("t", codes, ["role"]), ("n", numbers, ["n", "x"])])
    return make_pipeline(columns, model).fit(frame(), target())


def choose(
    model: Any, work: Path, columns: dict[str, str], optional: tuple[str, ...] = (), **entry: Any
) -> tuple[ChosenBackend, Schema]:
    """Save a model as a stranger would and let packaging choose."""
    predict = "predict_proba" if hasattr(model, "predict_proba") else "predict"
    mlflow.sklearn.save_model(
        model,
        work / "model",
        signature=signature(columns, optional),
        pyfunc_predict_fn=predict,
        serialization_format="skops",
        skops_trusted_types=TRUSTED,
        pip_requirements=["scikit-learn"],
    )
    made = ModelEntry("m", "champion", version="1", **entry)
    source = read_source(work / "model", "0" * 64)
    schema = source.schema(made)
    batch = parity_batch(schema, as_rows(frame()[list(columns)], 60))
    return choose_backend(source, schema, made, batch, work), schema


def test_the_classifiers_own_labels_name_the_columns(tmp_path: Path) -> None:
    """So that `positive_label` works with a model logged without trilane's metadata."""
    model = pipeline("passthrough", LogisticRegression())
    chosen, _ = choose(model, tmp_path, KINDS, positive_label="yes")
    assert chosen.spec.kind == "onnx"
    assert chosen.spec.call_width is None
    assert chosen.output.raw == ["no", "yes"]
    assert chosen.output.positive == "yes"
    assert (tmp_path / "model.onnx").is_file()
    assert not list(tmp_path.glob("model-*.onnx"))


def test_a_label_of_no_class_is_refused_with_the_classes(tmp_path: Path) -> None:
    """The message names what there is."""
    model = pipeline("passthrough", LogisticRegression())
    with pytest.raises(ConfigurationError, match=r"no \(double\), yes"):
        choose(model, tmp_path, KINDS, positive_label="1")


def test_a_null_that_the_registered_model_refuses(tmp_path: Path) -> None:
    """MLflow lets none pass in a column of longs; the graph, which could score it, fails on it."""
    model = pipeline("passthrough", HistGradientBoostingClassifier(max_iter=5))
    chosen, schema = choose(model, tmp_path, KINDS, ("n", "x"))
    assert chosen.spec.kind == "onnx"
    backend = OnnxBackend(tmp_path / "model.onnx", schema, chosen.output.raw, "double")
    taken = validate_rows(schema, [{"role": "lead", "n": 1, "x": None}], ["x"]).batch
    assert np.isfinite(backend.compute(taken)["yes"]).all()
    refused = validate_rows(schema, [{"role": "lead", "n": None, "x": 1.0}], ["n"]).batch
    with pytest.raises(ModelError):
        backend.compute(refused)


def test_the_reason_names_what_has_no_graph(tmp_path: Path) -> None:
    """In one phrase, once, if it is the same in both float types."""
    model = IsotonicRegression(out_of_bounds="clip").fit(frame()[["x"]], frame()["n"])
    chosen, _ = choose(model, tmp_path, {"x": "double"})
    assert chosen.spec.kind == "pyfunc"
    assert chosen.spec.path == "model"
    assert chosen.spec.reason == "skl2onnx has no converter for IsotonicRegression"


def test_a_graph_that_scores_otherwise_is_not_used(tmp_path: Path) -> None:
    """skl2onnx converts this one, and its probabilities are others; the reason says by how much."""
    model = LinearDiscriminantAnalysis().fit(frame()[["n", "x"]], target())
    chosen, _ = choose(model, tmp_path, {"n": "long", "x": "double"})
    assert chosen.spec.kind == "pyfunc"
    assert chosen.spec.reason is not None
    assert "in float64 the graph's scores differ by" in chosen.spec.reason
    assert not list(tmp_path.glob("*.onnx"))


def test_the_proof_has_all_categories_that_the_encoders_know() -> None:
    """Not only those of the one record that the model carries."""
    model = pipeline("passthrough", LogisticRegression())
    schema = schema_of(frame())
    batch = parity_batch(schema, [{"role": "lead", "n": 1, "x": 0.5}])
    assert "junior" not in set(batch.columns[0])
    more = with_known_categories(model, schema, batch)
    assert "junior" in set(more.columns[0])
    assert len(set(more.record_ids)) == len(more) > len(batch)
