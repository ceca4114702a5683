"""Sampled Shapley values of any backend."""

import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bundling.reasons.sampling_plan import baseline_record, permutations
from scoring.errors import BundleError, ModelError
from scoring.explainers.parameters import write_parameters
from scoring.explainers.sampling import SamplingExplainer, SamplingParameters, open_sampling
from scoring.records import Column, RecordBatch
from scoring.schema import Schema
from scoring.validation import validate_rows
from tests.support.explained import NoBackend, numbers_batch, numbers_schema

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass
class FunctionBackend:
    """Functions of the matrix of numbers, one per output; remembers how wide it was called."""

    functions: Mapping[str, Function]
    widths: list[int] = field(default_factory=list)

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """One column per function."""
        self.widths.append(len(batch))
        rows = np.column_stack(batch.columns)
        return {name: function(rows) for name, function in self.functions.items()}


def sampled(
    backend: FunctionBackend, baseline: list[float], call_width: int | None = None
) -> SamplingExplainer:
    """An explainer of all the backend's outputs."""
    start = numbers_batch(np.array([baseline]))
    orders = permutations(len(baseline))
    return SamplingExplainer(backend, call_width, start, orders, tuple(backend.functions))


def test_a_linear_function_is_explained_exactly() -> None:
    """Then every permutation says the same: weight times the distance from the baseline."""
    rng = np.random.default_rng(0)
    weights, rows, start = rng.normal(size=5), rng.normal(size=(7, 5)), [0.5, 0.0, -1.0, 2.0, 1.0]
    found = sampled(FunctionBackend({"y": lambda x: x @ weights + 3.0}), start).explain(
        numbers_batch(rows)
    )
    assert found.contributions == pytest.approx(weights * (rows - np.array(start)), abs=1e-12)
    assert found.base == pytest.approx(np.full(7, np.dot(weights, start) + 3.0))


def test_a_product_is_shared_equally() -> None:
    """Two features that only act together: a permutation and its reverse are fair to both."""
    backend = FunctionBackend({"y": lambda x: x[:, 0] * x[:, 1]})
    found = sampled(backend, [0.0, 0.0, 0.0]).explain(numbers_batch(np.array([[3.0, 4.0, 9.0]])))
    assert found.contributions.tolist() == [[6.0, 6.0, 0.0]]


def test_contributions_sum_to_the_output() -> None:
    """However wild the function and few the permutations."""
    rng = np.random.default_rng(1)
    backend = FunctionBackend({"y": lambda x: np.sin(5 * x).prod(axis=1) + np.exp(x[:, 2])})
    rows = rng.normal(size=(50, 6))
    found = sampled(backend, [0.3] * 6).explain(numbers_batch(rows))
    expected = backend.functions["y"](rows)
    assert found.base + found.contributions.sum(axis=1) == pytest.approx(expected, abs=1e-12)


def test_the_highest_output_of_each_record() -> None:
    """Base and contributions are those of the output that is highest in the record."""
    backend = FunctionBackend({"a": lambda x: x[:, 0], "b": lambda x: 1.0 - x[:, 0]})
    found = sampled(backend, [0.25, 0.0]).explain(numbers_batch(np.array([[0.9, 1], [0.2, 1]])))
    assert found.base.tolist() == [0.25, 0.75]
    assert found.contributions == pytest.approx(np.array([[0.65, 0.0], [0.05, 0.0]]))


def test_a_single_feature_gets_everything() -> None:
    """There are no steps in between."""
    found = sampled(FunctionBackend({"y": lambda x: x[:, 0] ** 2}), [1.0]).explain(
        numbers_batch(np.array([[3.0], [1.0]]))
    )
    assert found.contributions.tolist() == [[8.0], [0.0]]


def test_the_backend_is_called_as_for_scores() -> None:
    """With the call width of the bundle, a short last call filled up."""
    rows = numbers_batch(np.random.default_rng(0).normal(size=(5, 11)))
    backend = FunctionBackend({"y": lambda x: x.sum(axis=1)})
    sampled(backend, [0.0] * 11, call_width=32).explain(rows)
    assert set(backend.widths) == {32}


def test_a_large_batch_takes_little_memory() -> None:
    """The steps of 4,000 records are 116,000 rows for each permutation, 27 MB; they are not all
    made at once.
    """
    rows = numbers_batch(np.random.default_rng(0).normal(size=(4000, 30)))
    explainer = sampled(FunctionBackend({"y": lambda x: x.sum(axis=1)}), [0.0] * 30)
    tracemalloc.start()
    try:
        explainer.explain(rows)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12e6


def test_bits_do_not_depend_on_the_batch() -> None:
    """Nor on the part of a large batch that a record falls into."""
    rng = np.random.default_rng(2)
    backend = FunctionBackend({"y": lambda x: x[:, 0] * x[:, 1] / (1 + x[:, 2] ** 2) + x[:, 3]})
    rows = numbers_batch(rng.normal(size=(3000, 4)))
    explainer = sampled(backend, [0.1, 0.2, 0.3, 0.4])
    whole = explainer.explain(rows).contributions
    for start, stop in [(0, 1), (7, 9), (1360, 1370), (2999, 3000)]:
        part = explainer.explain(rows.slice(start, stop)).contributions
        assert np.array_equal(part, whole[start:stop])


def test_a_step_without_a_number_is_an_error() -> None:
    """As it is for a score."""
    backend = FunctionBackend({"y": lambda x: np.where(x[:, 0] == 0.0, np.nan, 1.0)})
    with pytest.raises(ModelError, match="not a finite number"):
        sampled(backend, [0.0, 0.0]).explain(numbers_batch(np.ones((1, 2))))


def test_permutations_come_with_their_reverse() -> None:
    """Ten orders of all features, the same at every packaging."""
    orders = permutations(6)
    assert orders.shape == (10, 6)
    assert np.array_equal(orders[0::2], orders[1::2, ::-1])
    assert np.array_equal(np.sort(orders, axis=1), np.tile(np.arange(6), (10, 1)))
    assert np.array_equal(orders, permutations(6))


MIXED = Schema.from_signature(
    [
        {"name": "x", "type": "double", "required": False},
        {"name": "n", "type": "long", "required": False},
        {"name": "flag", "type": "boolean"},
        {"name": "name", "type": "string"},
        {"name": "seen", "type": "datetime"},
    ]
)


def test_the_baseline_is_a_usual_record(tmp_path: Path) -> None:
    """Medians that occur, nulls left out; the most frequent of texts and booleans, the first in the
    alphabet of equals. A lane reads it back as a record.
    """
    rows = [
        {"x": 5.0, "n": 1, "flag": True, "name": "b", "seen": "2026-01-03T00:00:00"},
        {"x": None, "n": None, "flag": True, "name": "a", "seen": "2026-01-01T00:00:00"},
        {"x": 1.5, "n": 9, "flag": False, "name": "c", "seen": "2026-01-02T06:30:00"},
    ]
    known = validate_rows(MIXED, rows, [0, 1, 2]).batch
    usual = baseline_record(MIXED, known)
    assert (usual["x"], usual["n"], usual["flag"], usual["name"]) == (1.5, 1, True, "a")
    assert usual["seen"].startswith("2026-01-02T06:30:00")
    path = tmp_path / "sampling.json"
    write_parameters(path, SamplingParameters(usual, permutations(5).tolist()))
    open_sampling(path, ["y"], MIXED, NoBackend(), None)


def test_a_feature_without_known_values_stays_null() -> None:
    """There is no other usual value."""
    rows = [{"x": None, "n": 1, "flag": True, "name": "a", "seen": "2026-01-01T00:00:00"}]
    assert baseline_record(MIXED, validate_rows(MIXED, rows, [0]).batch)["x"] is None


@pytest.mark.parametrize(
    ("baseline", "orders"),
    [
        ({"x0": 1.0}, [[0, 1]]),
        ({"x0": 1.0, "x1": "two"}, [[0, 1]]),
        ({"x0": 1.0, "x1": 2.0}, []),
        ({"x0": 1.0, "x1": 2.0}, [[0, 0]]),
        ({"x0": 1.0, "x1": 2.0}, [[0, 1], [0]]),
    ],
)
def test_a_damaged_file_is_named(
    baseline: dict[str, object], orders: list[list[int]], tmp_path: Path
) -> None:
    """A baseline that is no record of the schema, orders that are none of its features."""
    path = tmp_path / "sampling.json"
    write_parameters(path, SamplingParameters(baseline, orders))
    with pytest.raises(BundleError, match=r"sampling\.json is damaged"):
        open_sampling(path, ["y"], numbers_schema(2), NoBackend(), None)
