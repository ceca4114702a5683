"""`POST /predict` in this process: what is answered, counted and logged."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from scoring.bundle_schema import manifest_schema
from scoring.errors import ModelError
from scoring.manifest import ColumnSpec
from scoring.model import ModelBundle
from scoring.records import Column, RecordBatch, RejectionCode
from tests.support.online import GOOD, SECRET, Api, open_api, problem, with_backend
from tests.support.toy import NOW, expected_score, load_toy, records


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.fixture
async def api(toy: ModelBundle) -> AsyncIterator[Api]:
    """The API over the toy model."""
    async with open_api(toy) as opened:
        yield opened


class PickyBackend:
    """Scores 0.5, fails on every record whose `n` is 13, and may fail in its own words."""

    def __init__(self, failure: Exception) -> None:
        self._failure = failure

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """Raises what it was made with."""
        if 13 in batch.columns[1]:
            raise self._failure
        half = np.full(len(batch), 0.5)
        return {"No": half, "Yes": half}


class SlowBackend:
    """Scores 0.5 when it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.called = threading.Event()
        self.calls = 0
        self.threads: set[str] = set()

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """Blocks its thread."""
        self.calls += 1
        self.called.set()
        self.threads.add(threading.current_thread().name)
        assert self.go.wait(10)
        half = np.full(len(batch), 0.5)
        return {"No": half, "Yes": half}


async def test_an_array_is_scored(api: Api) -> None:
    """The answer has one prediction per record, in order, under the caller's ids or new ones."""
    rows = [{**GOOD, "record_id": "a"}, {**GOOD, "n": 0, "record_id": 17}, GOOD]
    answer = await api.client.post("/predict", json=rows)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["request_id"] == answer.headers["x-request-id"] == "id-1"
    assert body["model"] == {"name": "toy", "version": "7"}
    assert [p["record_id"] for p in body["predictions"]] == ["a", "17", "id-1-2"]
    for row, prediction in zip(rows, body["predictions"], strict=True):
        assert prediction["score"] == pytest.approx(expected_score(row), abs=1e-12)
        assert prediction["label"] == ("Yes" if expected_score(row) >= 0.5 else "No")
        assert set(prediction) == {"record_id", "score", "label", "outlier", "outlier_score"}
        assert prediction["outlier"] is False


async def test_an_object_may_say_when_the_facts_were_true(api: Api) -> None:
    """`event_time` reaches the log in UTC; without it the time of receipt does."""
    document = {"records": [GOOD, GOOD], "event_time": "2026-01-05T01:00:00+02:00"}
    assert (await api.client.post("/predict", json=document)).status_code == 200
    assert (await api.client.post("/predict", json={"records": [GOOD]})).status_code == 200
    assert [list(batch.event_times) for batch in api.log.batches] == [
        [datetime(2026, 1, 4, 23, 0, tzinfo=UTC)] * 2,
        [NOW],
    ]


async def test_the_batch_size_does_not_change_a_bit(api: Api) -> None:
    """One at a time or a hundred at once: the same bytes."""
    rows = [{**row, "record_id": i} for i, row in enumerate(records(100))]
    together = (await api.client.post("/predict", json=rows)).json()["predictions"]
    alone = [(await api.client.post("/predict", json=[r])).json()["predictions"][0] for r in rows]
    assert json.dumps(together) == json.dumps(alone)


async def test_scored_records_are_logged_and_counted(api: Api) -> None:
    """The log has what the answer says, under ids that are the same for the same request."""
    headers = {"x-request-id": "trace-1"}
    for rows in ([GOOD, GOOD], [GOOD, GOOD], [GOOD]):
        await api.client.post("/predict", json=rows, headers=headers)
    first, again, other = api.log.batches
    assert (first.lane, first.request_id, first.scored_at) == ("online", "trace-1", NOW)
    assert (len(first.scored), first.rejected) == (2, ())
    assert len(set(first.entry_ids)) == 2
    assert first.entry_ids == again.entry_ids
    assert not set(other.entry_ids) & set(first.entry_ids), "another body, another input"
    assert api.counted("trilane_records_total", outcome="scored") == 5
    assert api.counted("trilane_records_total", outcome="rejected") == 0
    assert api.counted("trilane_score_seconds_count") == 3


async def test_every_invalid_field_is_listed(api: Api) -> None:
    """Place, code and rule of each, and none of the values."""
    rows = [
        GOOD,
        {"x": SECRET, "n": None, "flag": True},
        {**GOOD, SECRET[:3]: SECRET, "n": 1.5},
        SECRET,
        {**GOOD, "record_id": [SECRET]},
    ]
    answer = await api.client.post("/predict", json=rows)
    document = problem(answer, 422, "invalid-records")
    assert [(e["field"], e["code"]) for e in document["errors"]] == [
        ("records[1].x", "wrong_type"),
        ("records[1].n", "null_value"),
        ("records[1].name", "missing_field"),
        ("records[2].hun", "unknown_field"),
        ("records[2].n", "wrong_type"),
        ("records[3]", "malformed"),
        ("records[4].record_id", "invalid_record_id"),
    ]
    assert all(e["rule"] for e in document["errors"])
    assert document["error_count"] == 7
    assert SECRET not in answer.text


async def test_a_request_is_scored_as_a_whole_or_not_at_all(api: Api) -> None:
    """With one bad record none is scored, and every one is logged and counted as rejected."""
    rows = [{**GOOD, "record_id": "a"}, {**GOOD, "n": "3", "record_id": "b"}, GOOD]
    await api.client.post("/predict", json=rows)
    [batch] = api.log.batches
    assert len(batch.scored) == 0
    assert [(r.position, r.record_id, r.code) for r in batch.rejected] == [
        (0, "a", RejectionCode.REQUEST_REJECTED),
        (1, "b", RejectionCode.WRONG_TYPE),
        (2, "id-1-2", RejectionCode.REQUEST_REJECTED),
    ]
    assert len(batch) == 3
    assert api.counted("trilane_records_total", outcome="rejected") == 3
    assert api.counted("trilane_records_total", outcome="scored") == 0


async def test_ignored_fields_are_taken(api: Api) -> None:
    """A field the bundle says it ignores is no error."""
    answer = await api.client.post("/predict", json=[{**GOOD, "comment": SECRET}])
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "failure", [ModelError("no"), ValueError(SECRET)], ids=["model", "anything"]
)
@pytest.mark.parametrize("compiled", [True, False])
async def test_a_model_that_fails_is_a_problem(
    toy: ModelBundle, failure: Exception, compiled: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The records it failed on are named, all are rejected, and its words stay inside."""
    model = with_backend(toy, PickyBackend(failure), compiled)
    async with open_api(model) as api:
        answer = await api.client.post("/predict", json=[GOOD, {**GOOD, "n": 13}, GOOD])
        document = problem(answer, 500, "model-error")
        [batch] = api.log.batches
        assert (len(batch.scored), len(batch.rejected)) == (0, 3)
        assert batch.rejected[1].code is RejectionCode.MODEL_ERROR
        if isinstance(failure, ModelError):
            assert [e["field"] for e in document["errors"]] == ["records[1]"]
            assert batch.rejected[0].code is RejectionCode.REQUEST_REJECTED
        assert api.counted("trilane_records_total", outcome="rejected") == 3
        assert (await api.client.post("/predict", json=[GOOD])).status_code == 200
    assert SECRET not in answer.text + caplog.text


async def test_the_models_own_record_id_wins(toy: ModelBundle) -> None:
    """A feature of that name is a feature; the record's id is then made up."""
    inputs = [*toy.manifest.inputs, ColumnSpec("record_id", "long")]
    manifest = msgspec.structs.replace(toy.manifest, inputs=inputs, example=None)
    schema = manifest_schema(manifest)
    model = with_backend(toy, PickyBackend(ModelError("no")))
    object.__setattr__(model, "schema", schema)
    async with open_api(model) as api:
        answer = await api.client.post("/predict", json=[{**GOOD, "record_id": 5}])
        assert answer.json()["predictions"][0]["record_id"] == "id-1"
        [batch] = api.log.batches
        assert batch.scored.batch.columns[4].tolist() == [5]


async def test_a_model_that_is_not_compiled_scores_in_one_thread(toy: ModelBundle) -> None:
    """Probes are answered while it works, and one call at a time reaches it."""
    backend = SlowBackend()
    async with open_api(with_backend(toy, backend, compiled=False)) as api:
        answers = [asyncio.create_task(api.client.post("/predict", json=[GOOD])) for _ in range(3)]
        assert await asyncio.to_thread(backend.called.wait, 10)
        assert (await api.client.get("/livez")).status_code == 200
        assert backend.calls == 1
        backend.go.set()
        assert [a.status_code for a in await asyncio.gather(*answers)] == [200] * 3
    assert len(backend.threads) == 1
    assert threading.current_thread().name not in backend.threads
