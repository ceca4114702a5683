"""Scoring: the same bits whatever the batch, and a record that breaks the model fails alone."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest

from scoring.errors import ModelError
from scoring.manifest import BackendSpec, OutputColumn, OutputSpec
from scoring.model import Backend, ModelBundle
from scoring.parallel import PART_ROWS, compute
from scoring.records import Column, RecordBatch
from scoring.score import score, score_valid
from scoring.validation import validate_rows
from tests.support.toy import NOW, expected_score, load_toy, records


class WidthSensitive:
    """A backend whose result for a record depends on how many records share the call."""

    def __init__(self) -> None:
        """Remember the size of every call."""
        self.widths: list[int] = []

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """`x` plus the number of records in the call."""
        self.widths.append(len(batch))
        return {"y": batch.columns[0] + len(batch)}


class FailsOnNegative:
    """A backend that fails when any record of the call has a negative x."""

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """`x`, or ModelError."""
        if (batch.columns[0] < 0).any():
            raise ModelError("the model failed")
        return {"y": batch.columns[0]}


class FailsTogether:
    """A backend that fails on two records of which one has a negative x, and on neither alone."""

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """`x`, or ModelError."""
        if len(batch) > 1 and (batch.columns[0] < 0).any():
            raise ModelError("the model failed")
        return {"y": batch.columns[0]}


class Returns:
    """A backend that returns what it was given."""

    def __init__(self, column: Column) -> None:
        self._column = column

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """The column, whatever the batch."""
        del batch
        return {"y": self._column}


def with_backend(toy: ModelBundle, backend: Backend) -> ModelBundle:
    """The toy model with another backend that returns one column `y`."""
    output = OutputSpec("columns", ["y"], [OutputColumn("y", "double")])
    manifest = msgspec.structs.replace(
        toy.manifest, output=output, backend=BackendSpec("pyfunc", "model"), outlier=None
    )
    return ModelBundle(manifest, toy.schema, backend, None, NOW)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


def test_scores_follow_the_formula(toy: ModelBundle) -> None:
    """Outputs are the probability, the label at the threshold, and the outlier flag."""
    rows = records(50)
    valid = validate_rows(toy.schema, rows, [str(i) for i in range(50)])
    for row, prediction in zip(rows, score(toy, valid.batch).predictions(), strict=True):
        assert prediction["score"] == pytest.approx(expected_score(row), abs=1e-12)
        assert prediction["label"] == ("Yes" if prediction["score"] >= 0.5 else "No")
        assert prediction["outlier"] == (prediction["outlier_score"] > 0.95)


@pytest.mark.parametrize("size", [1, 2, 3, 31, 64, 100])
def test_a_record_gets_the_same_bits_in_any_batch(toy: ModelBundle, size: int) -> None:
    """Scored in parts of any size, the bits are those of the whole batch."""
    batch = validate_rows(toy.schema, records(100), [str(i) for i in range(100)]).batch
    whole = score(toy, batch)
    parts = [score(toy, batch.slice(i, i + size)) for i in range(0, 100, size)]
    for name in whole.outputs:
        joined = np.concatenate([part.outputs[name] for part in parts])
        np.testing.assert_array_equal(whole.outputs[name], joined)


def test_no_records_give_no_scores(toy: ModelBundle) -> None:
    """An empty batch is scored without calling the model."""
    scored = score(toy, validate_rows(toy.schema, [], []).batch)
    assert len(scored) == 0
    assert scored.predictions() == []


@pytest.mark.parametrize("count", [1, 4, 5, 8, 11])
def test_a_backend_with_a_call_width_sees_only_that_width(toy: ModelBundle, count: int) -> None:
    """Short calls are filled up, the filling is cut off, and neighbours do not matter."""
    backend = WidthSensitive()
    batch = validate_rows(toy.schema, records(count), [str(i) for i in range(count)]).batch
    result = compute(backend, batch, call_width=4)
    assert set(backend.widths) == {4}
    np.testing.assert_array_equal(result["y"], batch.columns[0] + 4)


def test_a_record_the_model_fails_on_is_rejected_alone(toy: ModelBundle) -> None:
    """The others are scored; scored plus rejected is received; positions are the input's."""
    model = with_backend(toy, FailsOnNegative())
    rows = [{**row, "x": abs(row["x"])} for row in records(20)]
    rows[3]["x"] = rows[11]["x"] = -1.0
    rows[7]["x"] = "no number"
    valid = validate_rows(model.schema, rows, [str(i) for i in range(20)])
    scored, rejections = score_valid(model, valid)
    assert [(r.position, r.code) for r in rejections] == [
        (3, "model_error"),
        (7, "wrong_type"),
        (11, "model_error"),
    ]
    assert len(scored) + len(rejections) == 20
    assert scored.batch.record_ids == tuple(str(i) for i in range(20) if i not in (3, 7, 11))


def test_records_that_only_fail_together_are_all_rejected(toy: ModelBundle) -> None:
    """No score of them is sure, and none of them is lost."""
    model = with_backend(toy, FailsTogether())
    rows = [{**row, "x": abs(row["x"])} for row in records(5)]
    rows[3]["x"] = -1.0
    scored, rejections = score_valid(model, validate_rows(model.schema, rows, list("abcde")))
    assert len(scored) == 0
    assert [(r.position, r.record_id) for r in rejections] == list(enumerate("abcde"))


@pytest.mark.parametrize("call_width", [None, 32])
def test_threads_change_no_bits(toy: ModelBundle, call_width: int | None) -> None:
    """A large batch is cut into parts, which are computed side by side and stay in order."""
    count = 3 * PART_ROWS + 17
    batch = validate_rows(toy.schema, records(count), [str(i) for i in range(count)]).batch
    alone = compute(toy.backend, batch, call_width)
    with ThreadPoolExecutor(3) as workers:
        together = compute(toy.backend, batch, call_width, workers)
    np.testing.assert_array_equal(alone["Yes"], together["Yes"])


def test_a_result_that_is_not_finite_is_no_score(toy: ModelBundle) -> None:
    """The model returned a number, but none that can be used."""
    model = with_backend(toy, WidthSensitive())
    batch = validate_rows(toy.schema, records(2), ["a", "b"]).batch
    batch.columns[0][1] = np.inf
    with pytest.raises(ModelError, match="not a finite number"):
        score(model, batch)


def test_a_result_of_another_type_is_no_score(toy: ModelBundle) -> None:
    """Text where packaging saw numbers is a model error, and the text is not repeated."""
    model = with_backend(toy, Returns(np.array(["secret", "1"], dtype=object)))
    batch = validate_rows(toy.schema, records(2), ["a", "b"]).batch
    with pytest.raises(ModelError, match="not a finite number") as caught:
        score(model, batch)
    assert "secret" not in str(caught.value)


def test_loading_twice_gives_the_same_identity(tmp_path: Path) -> None:
    """The digest depends on the bundle's content alone."""
    first = load_toy(tmp_path / "a", reference=0)
    second = load_toy(tmp_path / "b", reference=0)
    assert first.version == second.version
