"""Packaging goes on to the next method, or to none, and says why."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import PolynomialFeatures

from bundling.reasons.choice import prepare_reasons
from bundling.source import read_source
from scoring.errors import ModelError
from scoring.records import Column, RecordBatch
from tests.support.explained import (
    SCHEMA,
    EstimatorBackend,
    as_batch,
    chosen_for,
    fitted,
    output_of,
    people,
    target,
)

TWO = ("no", "yes")


@pytest.mark.parametrize(
    "numbers", [PCA(2), PolynomialFeatures(2, include_bias=False)], ids=["pca", "interactions"]
)
def test_mixed_columns_fall_back_to_sampling(numbers: Any, tmp_path: Path) -> None:
    """Where encoded columns mix features the output is sampled, and the reason is told."""
    chosen = chosen_for(fitted(Ridge(), numbers=numbers), tmp_path)
    assert chosen.spec.method == "sampling"
    assert "an encoded column comes from" in chosen.spec.detail
    assert [path.name for path in (tmp_path / "reasons").iterdir()] == ["sampling.json"]


def test_other_models_are_sampled(tmp_path: Path) -> None:
    """A model that is neither linear nor trees: the contributions sum to its output."""
    pipeline = fitted(KNeighborsRegressor())
    chosen = chosen_for(pipeline, tmp_path)
    assert (chosen.spec.method, chosen.spec.scale) == ("sampling", "value")
    assert chosen.spec.max_difference is not None
    assert chosen.spec.max_difference < 1e-9
    assert chosen.sums() == pytest.approx(pipeline.predict(people()), abs=1e-9)


def test_scores_of_other_classes_are_noticed(tmp_path: Path) -> None:
    """A backend whose columns stand the other way round is not explained by the model's margin."""
    pipeline = fitted(LogisticRegression(), 2)
    swapped = EstimatorBackend(pipeline, ("yes", "no"))
    chosen = chosen_for(pipeline, tmp_path, TWO, "yes", backend=swapped)
    assert chosen.spec.method == "sampling"
    assert "the margin does not belong to the score" in chosen.spec.detail


def test_text_outputs_have_no_reasons(tmp_path: Path) -> None:
    """A model that returns only text and shows no margin: none, with both reasons in words."""
    pipeline = fitted(KNeighborsRegressor())
    chosen = chosen_for(pipeline, tmp_path, kind="string")
    assert (chosen.spec.method, chosen.explainer) == ("none", None)
    assert "no numeric output" in chosen.spec.detail
    assert not (tmp_path / "reasons").exists()


@pytest.mark.parametrize(("final", "method"), [(Ridge(), "none"), (ExtraTreesRegressor(5), "tree")])
def test_without_known_records(final: Any, method: str, tmp_path: Path) -> None:
    """Means and baselines need known records, TreeSHAP has those the trees were grown on."""
    nothing = as_batch(people()).slice(0, 0)
    chosen = chosen_for(fitted(final), tmp_path, reference=nothing)
    assert chosen.spec.method == method
    assert (method == "tree") or "no training inputs" in chosen.spec.detail


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_from_the_registered_files(tmp_path: Path) -> None:
    """The estimator is loaded with its flavor; a version without one is sampled."""
    import mlflow.sklearn
    from mlflow.models import infer_signature

    pipeline = fitted(Ridge())
    directory = tmp_path / "model"
    mlflow.sklearn.save_model(
        pipeline, str(directory), signature=infer_signature(people(), target(people()))
    )
    backend = EstimatorBackend(pipeline, ("prediction",))
    source = read_source(directory, "0" * 64)
    for flavors, method in ((source.flavors, "linear"), (frozenset[str](), "sampling")):
        spec = prepare_reasons(
            replace(source, flavors=flavors),
            SCHEMA,
            output_of(("prediction",), None),
            backend,
            32,
            as_batch(people()),
            as_batch(people()),
            tmp_path,
        )
        assert spec.method == method, spec.detail
        shutil.rmtree(tmp_path / "reasons")


@pytest.mark.parametrize(
    ("final", "words"),
    [(Ridge(), "another number of columns"), (ExtraTreesRegressor(5), "the model gives no margin")],
)
def test_a_model_that_does_not_fit_its_encoder(final: Any, words: str, tmp_path: Path) -> None:
    """It is sampled, and the reason is told."""
    sound = fitted(Ridge())
    wide = final.fit(np.random.default_rng(0).normal(size=(50, 11)), np.arange(50.0))
    backend = EstimatorBackend(sound, ("prediction",))
    chosen = chosen_for(Pipeline([("e", sound[0]), ("f", wide)]), tmp_path, backend=backend)
    assert chosen.spec.method == "sampling"
    assert words in chosen.spec.detail


@dataclass(frozen=True, slots=True)
class FailingBackend:
    """Fails on any batch, in words that name a file of the bundle."""

    bundle: Path

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """Raises ModelError."""
        raise ModelError(f"{self.bundle}/model.onnx failed on {len(batch)} records")


def test_a_model_that_fails_has_no_reasons(tmp_path: Path) -> None:
    """Whatever goes wrong while reasons are prepared, packaging goes on without them; the manifest
    names a file by its place in the bundle alone.
    """
    chosen = chosen_for(fitted(Ridge()), tmp_path, backend=FailingBackend(tmp_path))
    assert (chosen.spec.method, chosen.explainer) == ("none", None)
    assert chosen.spec.detail.startswith("model.onnx failed on ")
    assert str(tmp_path) not in chosen.spec.detail
