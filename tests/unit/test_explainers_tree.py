"""TreeSHAP by LightGBM's library, against its definition and against two libraries' own."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import lightgbm
import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bundling.reasons.shap_model import lightgbm_model, of_class
from bundling.trees.ensemble import Tree, TreeEnsemble
from bundling.trees.reader import read_ensemble
from scoring.errors import BundleError, ModelError
from scoring.explainers import open_reasons
from scoring.explainers.lightgbm_library import load_library
from scoring.explainers.parameters import write_parameters
from scoring.explainers.tree import TreeParameters, TreeTerms
from scoring.manifest import ReasonsSpec
from tests.support.explained import NoBackend, numbers_schema
from tests.support.shapley import expectation, random_tree, shapley


def ensemble(*trees: Tree, width: int, targets: int = 1) -> TreeEnsemble:
    """Trees with a base of 0.25, 1.25, ..."""
    base = np.arange(targets, dtype=np.float64) + 0.25
    return TreeEnsemble(trees, width, base, "identity", "value", False, None)


def terms(trees: TreeEnsemble) -> TreeTerms:
    """As a lane makes them."""
    return TreeTerms(parameters(trees), load_library())


def parameters(trees: TreeEnsemble) -> TreeParameters:
    """As packaging writes them."""
    return TreeParameters(lightgbm_model(trees), trees.base.tolist(), trees.float32)


def margin(tree: Tree, row: NDArray[np.float64]) -> float:
    """The leaf that the row reaches."""
    return expectation(tree, row, frozenset(range(len(row))))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5))
def test_the_definition(seed: int, features: int, depth: int) -> None:
    """The Shapley values of random trees, with missing values and values on thresholds."""
    rng = np.random.default_rng(seed)
    trees = [random_tree(rng, features, depth) for _ in range(3)]
    rows = rng.integers(-4, 5, size=(4, features)) / 2
    rows[rng.random(rows.shape) < 0.2] = np.nan
    base, found = terms(ensemble(*trees, width=features)).terms(rows)
    anything = sum(expectation(tree, rows[0], frozenset()) for tree in trees)
    assert base == pytest.approx([0.25 + anything], abs=1e-12)
    for row, values in zip(rows, found[:, 0], strict=True):
        expected = np.sum([shapley(tree, row) for tree in trees], axis=0)
        assert values == pytest.approx(expected, abs=1e-12)
        whole = 0.25 + sum(margin(tree, row) for tree in trees)
        assert base[0] + values.sum() == pytest.approx(whole, abs=1e-12)


def test_several_targets() -> None:
    """A tree may add to one target or to all; each target has its own values and base."""
    rng = np.random.default_rng(5)
    both, second = random_tree(rng, 3, 3, targets=2), random_tree(rng, 3, 3, targets=2)
    second.value[:, 0] = 0.0
    rows = rng.normal(size=(5, 3))
    base, found = terms(ensemble(both, second, width=3, targets=2)).terms(rows)
    for target, members in enumerate([[both], [both, second]]):
        single = [replace(tree, value=tree.value[:, [target]]) for tree in members]
        anything = sum(expectation(tree, rows[0], frozenset()) for tree in single)
        assert base[target] == pytest.approx(target + 0.25 + anything)
        for row, values in zip(rows, found[:, target], strict=True):
            expected = np.sum([shapley(tree, row) for tree in single], axis=0)
            assert values == pytest.approx(expected, abs=1e-12)


def test_trees_without_a_split() -> None:
    """A constant adds to the base alone, and an ensemble of no trees is its base."""
    nothing = np.array([-1])
    leaf = Tree(
        nothing, np.zeros(1), nothing, nothing, np.zeros(1, bool), np.full((1, 1), 2.5), np.ones(1)
    )
    for members, expected in (([leaf, leaf], 5.25), ([], 0.25)):
        base, found = terms(ensemble(*members, width=2)).terms(np.ones((3, 2)))
        assert base.tolist() == [expected]
        assert not found.any()


def test_a_split_that_only_missing_values_leave() -> None:
    """An infinite threshold sends every number left and a missing value right."""
    tree = Tree(
        np.array([0, -1, -1]),
        np.array([np.inf, 0.0, 0.0]),
        np.array([1, -1, -1]),
        np.array([2, -1, -1]),
        np.zeros(3, bool),
        np.array([[0.0], [1.0], [3.0]]),
        np.array([10.0, 5.0, 5.0]),
    )
    base, found = terms(ensemble(tree, width=1)).terms(np.array([[1e300], [np.nan]]))
    assert (base[0] + found[:, 0, 0]).tolist() == [1.25, 3.25]


@pytest.mark.parametrize("scale", ["log-odds", "probability"])
def test_the_other_class_has_the_opposite_contributions(
    scale: Literal["log-odds", "probability"],
) -> None:
    """Its margin is the negative of the log-odds, or what the probability leaves of 1."""
    rng = np.random.default_rng(2)
    one = replace(ensemble(random_tree(rng, 3, 3), width=3), scale=scale)
    rows = rng.normal(size=(4, 3))
    base, found = terms(one).terms(rows)
    other_base, other = terms(of_class(one, 0)).terms(rows)
    assert other == pytest.approx(-found)
    assert other_base == pytest.approx((1.0 if scale == "probability" else 0.0) - base)
    assert of_class(one, 1) is one


def test_against_lightgbm() -> None:
    """Its own contributions, of three classes, with missing values."""
    rng = np.random.default_rng(3)
    rows, classes = rng.normal(size=(400, 6)), rng.integers(0, 3, 400)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    model = lightgbm.LGBMClassifier(n_estimators=15, verbosity=-1).fit(rows, classes)
    base, found = terms(read_ensemble(model)).terms(rows)
    theirs = np.asarray(model.predict(rows, pred_contrib=True)).reshape(400, 3, 7)
    assert found == pytest.approx(theirs[:, :, :-1], abs=1e-9)
    assert base == pytest.approx(theirs[0, :, -1], abs=1e-9)


def test_against_xgboost() -> None:
    """Its own contributions, which it computes in float32 from covers that are no counts."""
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(400, 6))
    labels = rows[:, 0] * rows[:, 1] + rng.normal(size=400) > 0
    rows[rng.random(rows.shape) < 0.1] = np.nan
    model = xgboost.XGBClassifier(n_estimators=15, max_depth=4).fit(rows, labels)
    base, found = terms(read_ensemble(model)).terms(rows)
    theirs = model.get_booster().predict(xgboost.DMatrix(rows), pred_contribs=True)
    assert found[:, 0] == pytest.approx(theirs[:, :-1], abs=5e-6)
    assert base == pytest.approx(theirs[0, -1:], abs=5e-6)


def test_numbers_are_rounded_where_the_model_rounds_them() -> None:
    """0.1 in float32 is above 0.1, and beyond float32 is infinite."""
    tree = random_tree(np.random.default_rng(0), 1, 1)
    tree.threshold[0] = 0.1
    rows = np.array([[0.1], [1e300]])
    for float32, same in ((False, False), (True, True)):
        _, found = terms(replace(ensemble(tree, width=1), float32=float32)).terms(rows)
        assert (found[0, 0, 0] == found[1, 0, 0]) == same


def test_another_number_of_columns_is_refused() -> None:
    """Before the library reads past the rows."""
    model = terms(ensemble(random_tree(np.random.default_rng(0), 3, 2), width=3))
    with pytest.raises(ModelError, match="another number of columns"):
        model.terms(np.zeros((2, 2)))


@pytest.mark.parametrize("what", ["text", "base", "json"])
def test_a_damaged_file_is_named(what: str, tmp_path: Path) -> None:
    """A model that LightGBM refuses, a base of another size, no JSON."""
    whole = parameters(ensemble(random_tree(np.random.default_rng(0), 1, 2), width=1))
    path = tmp_path / "tree.json"
    write_parameters(path, TreeParameters("tree\nnothing", [0.0], False))
    if what == "base":
        write_parameters(path, TreeParameters(whole.model, [0.0, 0.0], False))
    if what == "json":
        path.write_bytes(b"[]")
    with pytest.raises(BundleError, match=r"tree\.json is damaged"):
        _open(tmp_path)


def test_without_the_library_there_are_no_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lane starts all the same, and can say what to install."""
    write_parameters(
        tmp_path / "tree.json",
        parameters(ensemble(random_tree(np.random.default_rng(0), 1, 2), width=1)),
    )
    assert _open(tmp_path) is None
    monkeypatch.setitem(sys.modules, "lightgbm", None)  # what Python does with a blocked package
    assert _open(tmp_path) == "install the extra 'reasons' (LightGBM computes them)"


def test_a_lane_imports_no_lightgbm_pandas_or_scikit_learn(tmp_path: Path) -> None:
    """Explaining trees needs the C library only, and it prints nothing."""
    write_parameters(
        tmp_path / "tree.json",
        parameters(ensemble(random_tree(np.random.default_rng(0), 1, 2), width=1)),
    )
    code = """
import sys
from pathlib import Path
import numpy as np
from scoring.explainers import open_reasons
from scoring.manifest import ReasonsSpec
from scoring.records import RecordBatch
from scoring.schema import Schema
schema = Schema.from_signature([{"name": "x", "type": "double"}])
spec = ReasonsSpec("tree", "", groups=[0], path="tree.json")
explainer, missing = open_reasons(Path(sys.argv[1]), spec, schema, None, None)
found = explainer.explain(RecordBatch(("1", "2"), (np.array([1.0, 2.0]),)))
assert found.contributions.shape == (2, 1)
heavy = {"lightgbm", "pandas", "scipy", "sklearn", "mlflow", "onnx"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def _open(directory: Path) -> str | None:
    """Open tree.json; the words where there are no reasons."""
    spec = ReasonsSpec("tree", "", groups=[0], path="tree.json")
    explainer, missing = open_reasons(directory, spec, numbers_schema(1), NoBackend(), None)
    assert (explainer is None) == (missing is not None)
    return missing
