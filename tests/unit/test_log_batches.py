"""Entries and scores of several batches as one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from scoring.inference_log import LogBatch
from scoring.model import ModelBundle
from scoring.records import ScoredBatch
from scoring.score import score_valid
from scoring.validation import validate_rows
from tests.support.log_entries import INVALID, entries
from tests.support.reasons import explained
from tests.support.toy import load_toy, records

LATER = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("bundle"), reference=0)


def scored(model: ModelBundle, count: int, name: str, reasons: int = 0) -> ScoredBatch:
    """Scores of so many records."""
    ids = [f"{name}{place}" for place in range(count)]
    rows = records(count, seed=len(name))
    return score_valid(model, validate_rows(model.schema, rows, ids), reasons)[0]


@pytest.mark.parametrize("counts", [(3,), (3, 4), (0, 4), (3, 0), (0, 0), (1, 2, 3)])
def test_scores_are_joined_in_order(toy: ModelBundle, counts: tuple[int, ...]) -> None:
    """The parts can be sliced out again, bit by bit; batches without records are no problem."""
    parts = [scored(toy, count, "x" * (place + 1)) for place, count in enumerate(counts)]
    whole = ScoredBatch.concat(parts)
    assert len(whole) == sum(counts)
    start = 0
    for part in parts:
        piece = whole.slice(start, start + len(part))
        start += len(part)
        assert piece.predictions() == part.predictions()
        for found, expected in zip(piece.batch.columns, part.batch.columns, strict=True):
            assert found.dtype == expected.dtype
            assert found.tolist() == expected.tolist()
        for name, values in part.outputs.items():
            assert piece.outputs[name].dtype == values.dtype


def test_scores_without_detector_are_joined_too(toy: ModelBundle) -> None:
    """There is no outlier score to join."""
    parts = [
        replace(scored(toy, count, "a"), outlier_scores=None, outliers=None) for count in (1, 2)
    ]
    whole = ScoredBatch.concat(parts)
    assert (whole.outlier_scores, whole.outliers) == (None, None)
    assert np.concatenate([p.outputs["score"] for p in parts]).tolist() == (
        whole.outputs["score"].tolist()
    )


def test_reasons_are_not_joined(toy: ModelBundle) -> None:
    """The log has no columns for them; one batch alone keeps its own."""
    model = explained(toy)
    parts = [scored(model, count, "a", reasons=2) for count in (1, 2)]
    assert parts[0].reasons is not None
    assert ScoredBatch.concat(parts).reasons is None
    assert ScoredBatch.concat(parts[:1]) is parts[0]


def test_entries_are_joined_scored_first(toy: ModelBundle) -> None:
    """Each entry keeps its id, its request and its time, behind the record it belongs to."""
    rows = records(5)
    first = entries(toy, [rows[0], INVALID, rows[1]], "a", LATER - timedelta(days=1))
    second = entries(toy, [INVALID, INVALID], "b", LATER)
    third = replace(entries(toy, rows[2:], "c", LATER), scored_at=LATER)
    whole = LogBatch.concat([first, second, third])
    good, bad = ["a", "a", "c", "c", "c"], ["a", "b", "b"]
    assert list(whole.request_ids) == good + bad
    assert [i.partition("-")[0] for i in whole.entry_ids] == good + bad
    assert [i.partition("/")[0] for i in whole.scored.batch.record_ids] == good
    assert [(r.record_id or "").partition("/")[0] for r in whole.rejected] == bad
    days = [LATER - timedelta(days=1) if r == "a" else LATER for r in good + bad]
    assert list(whole.event_times) == days
    assert (len(whole), whole.lane, whole.scored_at) == (8, "online", LATER)
    assert sorted(whole.entry_ids) == sorted(
        [*first.entry_ids, *second.entry_ids, *third.entry_ids]
    )


def test_the_entries_of_one_batch_are_that_batch(toy: ModelBundle) -> None:
    """Nothing is copied; entries that were joined can be joined again."""
    one = entries(toy, records(2), "a")
    assert LogBatch.concat([one]) is one
    twice = LogBatch.concat([LogBatch.concat([one, entries(toy, [INVALID], "b")]), one])
    assert list(twice.request_ids) == ["a", "a", "a", "a", "b"]
