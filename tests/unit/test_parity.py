"""Packaging's proof of identical bits: what passes, what gets a call width, what is refused."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from bundling.parity.proof import call_width, largest_difference, parity_batch, steady_call_width
from scoring.errors import BundleError
from scoring.model import Backend
from scoring.records import Column, RecordBatch
from scoring.schema import Schema
from tests.support.toy import load_toy, records

SCHEMA = Schema.from_signature([{"name": "x", "type": "double"}, {"name": "n", "type": "long"}])


class RowByRow:
    """Indifferent to the batch size."""

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """Twice x."""
        return {"y": batch.columns[0] * 2}


class Counting(RowByRow):
    """Remembers the records of every call."""

    def __init__(self) -> None:
        """None so far."""
        self.calls: list[tuple[str, ...]] = []

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """Twice x."""
        self.calls.append(batch.record_ids)
        return super().compute(batch)


class DependsOnSize(RowByRow):
    """Gives other bits in another batch size, like a vectorised sum."""

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """Twice x, one unit in the last place more in a call of odd length."""
        twice = batch.columns[0] * 2
        return {"y": np.nextafter(twice, np.inf) if len(batch) % 2 else twice}


class DependsOnNeighbours(RowByRow):
    """Normalises by the batch: only a call of one is steady."""

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """X minus the mean of the call."""
        return {"y": batch.columns[0] - batch.columns[0].mean()}


class Random(RowByRow):
    """Gives something else every time."""

    def __init__(self) -> None:
        """Seed once."""
        self._random = np.random.default_rng(0)

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """Noise."""
        return {"y": self._random.normal(size=len(batch))}


def batch() -> RecordBatch:
    """A parity batch."""
    return parity_batch(SCHEMA, [{"x": float(i) / 3, "n": i} for i in range(300)])


@pytest.mark.parametrize(
    ("backend", "width"),
    [(RowByRow(), None), (DependsOnSize(), 32), (DependsOnNeighbours(), 1)],
)
@pytest.mark.parametrize("most_calls", [None, 5])
def test_the_call_width_a_backend_needs(
    backend: Backend, width: int | None, most_calls: int | None
) -> None:
    """None when any size gives the same bits, else the largest width that does."""
    assert call_width(backend, batch(), most_calls) == width


def test_a_slow_model_is_tried_in_few_batches_of_each_size() -> None:
    """Which are spread over all records, the first and the last among them."""
    backend = Counting()
    whole = batch()
    assert call_width(backend, whole, most_calls=5) is None
    sizes = Counter(len(ids) for ids in backend.calls)
    assert max(sizes.values()) <= 5
    alone = [ids[0] for ids in backend.calls if len(ids) == 1]
    assert (alone[0], alone[-1]) == (whole.record_ids[0], whole.record_ids[-1])


def test_a_model_that_does_not_repeat_itself_is_refused() -> None:
    """Identical scores cannot be promised for it."""
    with pytest.raises(BundleError, match="different scores for the same records"):
        steady_call_width(Random(), batch())


def test_the_toy_graph_needs_a_width(tmp_path: Path) -> None:
    """A sigmoid over one column: the last elements of a batch take another path than the rest."""
    toy = load_toy(tmp_path / "bundle", reference=0)
    assert call_width(toy.backend, parity_batch(toy.schema, records(500))) is not None


def test_the_parity_set_has_unseen_categories_and_extremes() -> None:
    """Beyond the known records, one feature at a time."""
    schema = Schema.from_signature(
        [{"name": "x", "type": "double"}, {"name": "s", "type": "string"}]
    )
    made = parity_batch(schema, [{"x": 1.0, "s": "known"}])
    assert {"known", "unseen category", ""} <= set(made.columns[1])
    assert made.columns[0].max() > 1e6


def test_the_parity_set_has_nulls_where_they_are_allowed() -> None:
    """Each alone in an edge case, and some among the mixtures; never in a required column."""
    schema = Schema.from_signature(
        [
            {"name": "x", "type": "double", "required": False},
            {"name": "s", "type": "string", "required": False},
            {"name": "n", "type": "long", "required": False},
            {"name": "when", "type": "datetime"},
        ]
    )
    row = {"x": 1.0, "s": "known", "n": 1, "when": "2026-01-01"}
    made = parity_batch(schema, [row])
    x, s, n, when = made.columns
    nulls = np.array([np.isnan(x), [v is None for v in s], [v is None for v in n]])
    for place in range(3):
        assert (nulls[place] & (nulls.sum(axis=0) == 1)).any()
    assert (nulls.sum(axis=0) == 2).any()
    assert len(set(when)) > 2
    assert not np.isnat(when).any()


@pytest.mark.parametrize(
    ("a", "b", "difference"),
    [
        ([0.5, 2.0], [0.5, 2.2], 0.1),
        ([0.5], [0.75], 0.25),
        ([1.0], [np.nan], np.inf),
        (["a"], ["a"], 0.0),
        (["a"], ["b"], np.inf),
    ],
)
def test_the_largest_difference(a: list[object], b: list[object], difference: float) -> None:
    """Absolute below 1, relative above, infinite for anything that is not comparable."""
    found = largest_difference({"y": np.array(a)}, {"y": np.array(b)})
    assert found == pytest.approx(difference)
