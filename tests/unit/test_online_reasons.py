"""`POST /predict?reasons=K`: what is answered, and what is refused."""

import threading
from collections.abc import AsyncIterator

import pytest

from scoring.model import ModelBundle
from tests.support.online import GOOD, SECRET, Api, open_api, problem, with_backend
from tests.support.reasons import UNEXPLAINED, ToyExplainer, expected_reasons, explained
from tests.support.toy import load_toy, records


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model, which gives no reasons."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.fixture
async def api(toy: ModelBundle) -> AsyncIterator[Api]:
    """The API over the toy model with reasons."""
    async with open_api(explained(toy)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("reasons=1", 1),
        ("reasons=3", 3),
        ("reasons=03", 3),
        ("other=1&reasons=2", 2),
        ("reasons=4", 4),
        ("reasons=5", 4),
        ("reasons=99999999999999999999999", 4),
    ],
)
async def test_each_score_gets_its_strongest_reasons(api: Api, query: str, count: int) -> None:
    """As many as asked for, at most one per feature; the score has the same bits as without."""
    rows = [{**row, "record_id": str(i)} for i, row in enumerate(records(20))]
    plain = (await api.client.post("/predict", json=rows)).json()["predictions"]
    answer = await api.client.post(f"/predict?{query}", json=rows)
    found = answer.json()["predictions"]
    assert [p.pop("reasons") for p in found] == [expected_reasons(row, count) for row in rows]
    assert found == plain


@pytest.mark.parametrize("query", ["", "reasons=0", "reason=3", "REASONS=3"])
async def test_without_asking_there_are_none(toy: ModelBundle, query: str) -> None:
    """Nothing is explained, and a model that gives no reasons answers as ever."""
    explainer = ToyExplainer()
    for model in (explained(toy, explainer), toy):
        async with open_api(model) as api:
            answer = await api.client.post(f"/predict?{query}", json=[GOOD])
            assert "reasons" not in answer.json()["predictions"][0]
    assert explainer.calls == []


@pytest.mark.parametrize(
    "query",
    [
        "reasons=",
        "reasons",
        "reasons=-1",
        "reasons=%2B1",
        "reasons=1.0",
        "reasons=1_0",
        "reasons=%D9%A3",
        f"reasons={SECRET}",
        "reasons=1&reasons=1",
        f"reasons={'9' * 5000}",
    ],
)
async def test_anything_else_is_no_number(api: Api, query: str) -> None:
    """400 that names the parameter and the rule, and not the value; nothing is scored."""
    answer = await api.client.post(f"/predict?{query}", json=[GOOD])
    detail = problem(answer, 400, "invalid-parameter")["detail"]
    assert "'reasons' must be given once, as an integer from 0 on" in detail
    assert SECRET not in answer.text
    assert api.log.batches == []


async def test_a_model_without_reasons_says_why(toy: ModelBundle) -> None:
    """422 with a code of its own; nothing is scored."""
    async with open_api(toy) as api:
        answer = await api.client.post("/predict?reasons=3", json=[GOOD])
        detail = problem(answer, 422, "reasons-unavailable")["detail"]
        assert "the toy gives none" in detail
        assert api.log.batches == []


async def test_a_record_without_reasons_is_refused(api: Api) -> None:
    """Where only the explaining fails, the record is a model error when reasons are asked for."""
    rows = [GOOD, {**GOOD, "n": UNEXPLAINED}]
    answer = await api.client.post("/predict?reasons=1", json=rows)
    [error] = problem(answer, 500, "model-error")["errors"]
    assert error["field"] == "records[1]"
    assert (await api.client.post("/predict", json=rows)).status_code == 200


@pytest.mark.parametrize("method", ["tree", "sampling"])
async def test_reasons_that_take_long_do_not_block_the_event_loop(
    toy: ModelBundle, method: str
) -> None:
    """They are computed in the scoring thread, and short ones in the event loop."""
    for name, is_slow in ((method, True), ("linear", False)):
        explainer = ToyExplainer()
        async with open_api(explained(toy, explainer, name)) as api:  # type: ignore[arg-type]
            answer = await api.client.post("/predict?reasons=2", json=[GOOD])
        assert answer.json()["predictions"][0]["reasons"] == expected_reasons(GOOD, 2)
        assert (explainer.threads == {threading.current_thread().name}) is not is_slow


async def test_a_model_that_is_not_compiled_gives_reasons(toy: ModelBundle) -> None:
    """From the thread that scores."""
    model = with_backend(explained(toy), toy.backend, compiled=False)
    async with open_api(model) as api:
        answer = await api.client.post("/predict?reasons=1", json=[GOOD])
        assert answer.json()["predictions"][0]["reasons"] == expected_reasons(GOOD, 1)
