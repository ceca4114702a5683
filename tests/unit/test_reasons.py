"""The strongest contributions of each record, as every lane hands them out."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scoring.errors import ModelError, ReasonsUnavailable
from scoring.model import Explanation, ModelBundle
from scoring.model_loader import load_model
from scoring.reasons import strongest
from scoring.records import RecordBatch
from scoring.score import score, score_valid
from scoring.validation import validate_rows
from tests.support.reasons import add_linear
from tests.support.toy import EXAMPLE, NOW, load_toy, make_bundle, records


@dataclass(frozen=True)
class TableExplainer:
    """Gives every record the same contributions."""

    contributions: tuple[float, ...]

    def explain(self, batch: RecordBatch) -> Explanation:
        """The table, once per record."""
        rows = np.tile(np.array(self.contributions), (len(batch), 1))
        return Explanation(np.zeros(len(batch)), rows)


def toy(directory: Path, *contributions: float) -> ModelBundle:
    """The toy model with these contributions of x, n, flag and name."""
    return replace(load_toy(directory), explainer=TableExplainer(contributions))


def batch_of(model: ModelBundle, count: int) -> RecordBatch:
    """Records of the toy model."""
    return validate_rows(model.schema, records(count), list(range(count))).batch


def test_the_strongest_come_first(tmp_path: Path) -> None:
    """By magnitude, with their signs and their features' names."""
    model = toy(tmp_path / "toy", 0.1, -3.0, 2.0, 0.0)
    predictions = score(model, batch_of(model, 2), reasons=2).predictions()
    expected = [
        {"feature": "n", "contribution": -3.0},
        {"feature": "flag", "contribution": 2.0},
    ]
    assert [prediction["reasons"] for prediction in predictions] == [expected, expected]


def test_ties_stand_in_schema_order(tmp_path: Path) -> None:
    """Whatever their signs."""
    model = toy(tmp_path / "toy", -1.0, 2.0, 1.0, -2.0)
    scored = score(model, batch_of(model, 1), reasons=4)
    assert scored.reasons is not None
    assert scored.reasons.places.tolist() == [[1, 3, 0, 2]]


def test_no_more_reasons_than_features(tmp_path: Path) -> None:
    """A model of four features gives four, with records and without."""
    model = toy(tmp_path / "toy", 0.0, 0.0, 0.0, 0.0)
    for count in (3, 0):
        scored = score(model, batch_of(model, 3).slice(0, count), reasons=9)
        assert scored.reasons is not None
        assert scored.reasons.contributions.shape == (count, 4)


def test_contributions_that_are_no_finite_numbers_are_no_reasons(tmp_path: Path) -> None:
    """JSON has no infinity; the model error says nothing of the record."""
    model = toy(tmp_path / "toy", 0.0, np.inf, 0.0, 0.0)
    with pytest.raises(ModelError, match="not a finite number"):
        score(model, batch_of(model, 2), reasons=1)


def test_an_example_that_cannot_be_explained_does_not_stop_a_lane(tmp_path: Path) -> None:
    """The bundle loads and scores; the record fails alone where reasons are asked for."""
    model = load_model(add_linear(make_bundle(tmp_path / "toy"), weight=1.7e308), NOW)
    example = validate_rows(model.schema, [EXAMPLE], ["example"])
    assert len(score_valid(model, example)[0]) == 1
    scored, rejections = score_valid(model, example, reasons=1)
    assert len(scored) == 0
    assert [r.code for r in rejections] == ["model_error"]


def test_a_model_without_reasons_says_why(tmp_path: Path) -> None:
    """Asking for them is an error, scoring without is not."""
    model = load_toy(tmp_path / "toy")
    assert score(model, batch_of(model, 1)).reasons is None
    for count in (1, 0):
        with pytest.raises(ReasonsUnavailable, match="model toy gives no reasons: the toy gives"):
            score(model, batch_of(model, 1).slice(0, count), reasons=1)


@settings(deadline=None)
@given(
    st.integers(1, 12).flatmap(
        lambda width: st.lists(
            st.lists(st.integers(-3, 3), min_size=width, max_size=width), min_size=1, max_size=5
        )
    ),
    st.integers(1, 14),
)
def test_few_and_many_are_chosen_alike(rows: list[list[int]], count: int) -> None:
    """Any number of reasons is the beginning of all of them in order."""
    contributions: NDArray[np.float64] = np.array(rows, np.float64)
    everything = np.argsort(-np.abs(contributions), axis=1, kind="stable")
    assert np.array_equal(strongest(contributions, count), everything[:, :count])
