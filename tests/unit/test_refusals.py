"""Which records a model refuses, and that a compiled graph refuses them too."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from bundling.parity.proof import parity_batch
from bundling.parity.refusals import refused_nulls, scorable, survivors, without_nulls
from scoring.errors import ModelError
from scoring.records import Column, RecordBatch
from scoring.schema import Schema
from scoring.validation import validate_rows

SCHEMA = Schema.from_signature(
    [
        {"name": "x", "type": "double", "required": False},
        {"name": "n", "type": "long", "required": False},
        {"name": "s", "type": "string", "required": False},
    ]
)


class Strict:
    """Refuses a call that has a null in `n`, or a number below zero in `x`."""

    def __init__(self) -> None:
        """Count the calls."""
        self.calls = 0

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """Zeros."""
        self.calls += 1
        x, n, _ = batch.columns
        if any(value is None for value in n) or bool((x < 0).any()):
            raise ModelError("refused")
        return {"y": np.zeros(len(batch))}


def records(rows: list[dict[str, Any]]) -> RecordBatch:
    """A batch of valid rows."""
    return validate_rows(SCHEMA, rows, [str(i) for i in range(len(rows))]).batch


def test_survivors_are_found_in_few_calls() -> None:
    """By halving: a few refused among many do not cost a call for each record."""
    rows = [{"x": -1.0 if i in (7, 700) else 1.0, "n": 1, "s": "a"} for i in range(1000)]
    model = Strict()
    assert scorable(model, records(rows)) == [i for i in range(1000) if i not in (7, 700)]
    assert model.calls < 60


def test_a_model_that_scores_nothing_has_no_survivors() -> None:
    """Packaging cannot go on."""
    with pytest.raises(ModelError, match="none of the records"):
        survivors(Strict(), records([{"x": -1.0, "n": 1, "s": "a"}]))


def test_refused_nulls_are_told_by_column() -> None:
    """A null in `n` is refused, one in `x` or `s` is not."""
    batch = parity_batch(SCHEMA, [{"x": 1.0, "n": 2, "s": "a"}])
    assert refused_nulls(Strict(), SCHEMA, batch) == ["n"]
    kept = batch.take(np.flatnonzero(without_nulls(SCHEMA, batch, ["n"])))
    assert 0 < len(kept) < len(batch)
    assert None not in kept.columns[1]
    assert None in kept.columns[2]
