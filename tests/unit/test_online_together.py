"""Requests of one turn of the event loop: one call, and still each its own answer and entries."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from scoring.errors import ModelError, StorageUnavailable
from scoring.model import Backend, ModelBundle
from scoring.records import Column, RecordBatch
from tests.support.online import GOOD, Api, MemoryLog, open_api, problem, with_backend
from tests.support.toy import load_toy, records


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


class CountingBackend:
    """The toy's own scores; remembers the sizes of its calls and fails where `n` is 13."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self.calls: list[tuple[str, ...]] = []

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """Raises ModelError."""
        self.calls.append(batch.record_ids)
        if 13 in batch.columns[1]:
            raise ModelError("no")
        return self._inner.compute(batch)


async def at_once(api: Api, bodies: list[Any]) -> list[Any]:
    """The answers to requests that are sent in one turn."""
    calls = (
        api.client.post("/predict", json=body, headers={"x-request-id": f"r{place}"})
        for place, body in enumerate(bodies)
    )
    return await asyncio.gather(*calls)


def logged(log: MemoryLog) -> dict[str, list[str]]:
    """Request id -> record ids of its scored entries."""
    found: dict[str, list[str]] = {}
    for batch in log.batches:
        ids = [*batch.scored.batch.record_ids, *("rejected" for _ in batch.rejected)]
        for request_id, record_id in zip(batch.request_ids, ids, strict=True):
            found.setdefault(request_id, []).append(record_id)
    return found


async def test_they_share_a_call_and_get_their_own_answers(toy: ModelBundle) -> None:
    """The bits are those of each request alone; entries carry its id; all is counted."""
    rows = [{**r, "n": r["n"] % 13, "record_id": str(i)} for i, r in enumerate(records(12))]
    bodies = [rows[0:1], rows[1:4], rows[4:5], rows[5:12]]
    backend = CountingBackend(toy.backend)
    async with open_api(with_backend(toy, backend)) as api:
        together = [answer.json()["predictions"] for answer in await at_once(api, bodies)]
        assert max(map(len, backend.calls)) > 1
        assert logged(api.log) == {
            f"r{place}": [row["record_id"] for row in body] for place, body in enumerate(bodies)
        }
        assert api.counted("trilane_records_total", outcome="scored") == 12
        ids = [entry for batch in api.log.batches for entry in batch.entry_ids]
        assert len(set(ids)) == 12
    async with open_api(toy) as api:
        alone = [(await at_once(api, [body]))[0].json()["predictions"] for body in bodies]
        assert together == alone
        assert [entry for batch in api.log.batches for entry in batch.entry_ids][:1] == ids[:1]


@pytest.mark.parametrize(
    ("bad", "status", "code"),
    [
        ([{**GOOD, "x": "text"}], 422, "invalid-records"),
        ([{**GOOD, "n": 2**63}], 422, "invalid-records"),
        ([{**GOOD, "record_id": ""}], 422, "invalid-records"),
        ([{**GOOD, "n": 13}], 500, "model-error"),
        ("nonsense", 400, "malformed-request"),
    ],
)
async def test_what_is_wrong_with_one_is_its_own(
    toy: ModelBundle, bad: Any, status: int, code: str
) -> None:
    """The others of its turn are answered, and every record has one entry."""
    backend = CountingBackend(toy.backend)
    async with open_api(with_backend(toy, backend)) as api:
        answers = await at_once(api, [[GOOD], bad, [GOOD]])
        problem(answers[1], status, code)
        assert [answers[0].status_code, answers[2].status_code] == [200, 200]
        entries = logged(api.log)
        assert [len(entries[name]) for name in ("r0", "r2")] == [1, 1]
        assert entries.get("r1", []) == ([] if status == 400 else ["rejected"])


async def test_a_log_that_takes_nothing_answers_none(toy: ModelBundle) -> None:
    """An answer without an entry would be a loss; nothing is counted as scored either."""
    async with open_api(toy, log=MemoryLog(StorageUnavailable("full"))) as api:
        for answer in await at_once(api, [[GOOD], [GOOD]]):
            problem(answer, 503, "unavailable")
        assert api.counted("trilane_records_total", outcome="scored") == 0
