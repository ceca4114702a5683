"""Several models behind one port: which answers, and what a challenger sees in shadow."""

import asyncio
import time
from collections.abc import Mapping

import numpy as np
import pytest

from online_api.context import Limits
from scoring.model import ModelBundle
from scoring.records import Column, RecordBatch
from tests.support.online import GOOD, MemoryLog, open_api, problem, with_backend
from tests.support.toy import load_toy


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "champion", reference=0)


@pytest.fixture(scope="module")
def challenger(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The same under another name, which does not know the field `comment`."""
    directory = tmp_path_factory.mktemp("toy") / "challenger"
    return load_toy(
        directory, reference=0, name="rival", version="2", role="challenger", ignored=()
    )


class FailingBackend:
    """Fails in words that quote a record."""

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """Raises RuntimeError."""
        raise RuntimeError(f"cannot score {batch.columns}")


class SlowBackend:
    """Scores 0.5, after a while."""

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """Blocks its thread."""
        time.sleep(0.05)
        half = np.full(len(batch), 0.5)
        return {"No": half, "Yes": half}


def entries(log: MemoryLog) -> list[tuple[str, list[str], int]]:
    """Of each batch: model, scored record ids, number of rejected records."""
    return [
        (b.scored.model.name, list(b.scored.batch.record_ids), len(b.rejected)) for b in log.batches
    ]


async def test_a_model_answers_under_its_name(
    champion: ModelBundle, challenger: ModelBundle
) -> None:
    """The champion where none is named; another name is a problem of its own."""
    async with open_api(champion, challengers=[challenger]) as api:
        for path, name in (("", "toy"), ("/toy", "toy"), ("/rival", "rival")):
            answer = await api.client.post(f"/predict{path}", json=[GOOD])
            assert answer.json()["model"]["name"] == name
        problem(await api.client.post("/predict/nobody", json=[GOOD]), 404, "unknown-model")
        listed = (await api.client.get("/models")).json()["models"]
        assert [(one["name"], one["version"], one["default"]) for one in listed] == [
            ("toy", "7", True),
            ("rival", "2", False),
        ]
        assert (await api.client.get("/models/rival")).json()["version"] == "2"
    assert [name for name, _, _ in entries(api.log)] == ["toy", "toy", "rival"]


async def test_a_challenger_sees_what_the_champion_answered(
    champion: ModelBundle, challenger: ModelBundle
) -> None:
    """Under the same record ids, in its own log, counted apart; a request by name has no shadow."""
    async with open_api(champion, challengers=[challenger], shadow=True) as api:
        body = [GOOD, {**GOOD, "record_id": "mine"}]
        answer = await api.client.post("/predict", json=body)
        await api.client.post("/predict/rival", json=[GOOD])
        ids = [p["record_id"] for p in answer.json()["predictions"]]
        assert answer.json()["model"]["name"] == "toy"
        assert entries(api.log)[:2] == [("toy", ids, 0), ("rival", ids, 0)]
        assert len(api.log.batches) == 3
        first, second = (set(batch.entry_ids) for batch in api.log.batches[:2])
        assert not first & second
        rival = {"model": "rival", "version": "2"}
        assert api.counted("trilane_shadow_records_total", outcome="scored", **rival) == 2
        assert api.counted("trilane_records_total", outcome="scored", **rival) == 1


async def test_a_challenger_validates_by_its_own_schema(
    champion: ModelBundle, challenger: ModelBundle
) -> None:
    """A field that only the champion ignores rejects the record for the challenger."""
    async with open_api(champion, challengers=[challenger], shadow=True) as api:
        answer = await api.client.post("/predict", json=[{**GOOD, "comment": "hello"}])
        assert answer.status_code == 200
        assert [(name, rejected) for name, _, rejected in entries(api.log)] == [
            ("toy", 0),
            ("rival", 1),
        ]


async def test_a_rejected_request_casts_no_shadow(
    champion: ModelBundle, challenger: ModelBundle
) -> None:
    """What the champion did not answer cannot be compared."""
    async with open_api(champion, challengers=[challenger], shadow=True) as api:
        problem(await api.client.post("/predict", json=[{}]), 422, "invalid-records")
        assert [name for name, _, _ in entries(api.log)] == ["toy"]


async def test_a_failing_challenger_disturbs_nobody(
    champion: ModelBundle, challenger: ModelBundle
) -> None:
    """The answer stands; its records are rejected in the challenger's log."""
    broken = with_backend(challenger, FailingBackend())
    async with open_api(champion, challengers=[broken], shadow=True) as api:
        assert (await api.client.post("/predict", json=[GOOD])).status_code == 200
        assert [(name, rejected) for name, _, rejected in entries(api.log)] == [
            ("toy", 0),
            ("rival", 1),
        ]


async def test_a_slow_challenger_is_bounded(champion: ModelBundle, challenger: ModelBundle) -> None:
    """Beyond the bound it does not see a request, and that is counted."""
    slow = with_backend(challenger, SlowBackend(), compiled=False)
    limits = Limits(max_waiting=2)
    async with open_api(champion, limits, challengers=[slow], shadow=True) as api:
        calls = (api.client.post("/predict", json=[GOOD]) for _ in range(6))
        answers = await asyncio.gather(*calls)
        assert [answer.status_code for answer in answers] == [200] * 6
        rival = {"model": "rival", "version": "2"}
        dropped = api.counted("trilane_shadow_records_total", outcome="dropped", **rival)
        scored = api.counted("trilane_shadow_records_total", outcome="scored", **rival)
        assert dropped + scored == 6
        assert dropped > 0
