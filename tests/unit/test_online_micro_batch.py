"""Requests that wait for one scoring thread share its calls, and nothing else."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_api.context import Limits
from online_api.micro_batch import Part, Scores, score_together
from online_api.problems import NOT_READY, OVERLOADED, Kind, ProblemError
from scoring.model import ModelBundle
from scoring.records import RejectionCode
from scoring.score import score_valid
from scoring.validation import validate_rows
from tests.support.micro_batch import (
    BAD,
    BROKEN,
    STOPPING,
    TIMING_OUT,
    GatedBackend,
    busy_scorer,
    ids,
    request,
)
from tests.support.online import GOOD, open_api, problem, with_backend
from tests.support.reasons import UNEXPLAINED, ToyExplainer, explained
from tests.support.toy import load_toy, records


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


async def test_waiting_requests_share_one_call(toy: ModelBundle) -> None:
    """Twenty that wait are one call; each gets its own records, and the calls are counted."""
    async with busy_scorer(toy) as rig:
        tasks = [await rig.ask(f"r{i}a", f"r{i}b") for i in range(20)]
        found = await rig.release(*tasks)
        assert [ids(outcome) for outcome in found] == [(f"r{i}a", f"r{i}b") for i in range(20)]
        assert rig.backend.sizes() == [1, 40]
        labels = {"lane": "online", "model": "toy", "version": "7"}
        sample = rig.metrics.registry.get_sample_value
        assert sample("trilane_model_call_records_count", labels) == 2
        assert sample("trilane_model_call_records_sum", labels) == 41


async def test_a_request_that_finds_the_thread_free_waits_for_nobody(toy: ModelBundle) -> None:
    """One after the other, each has its own call."""
    async with busy_scorer(toy) as rig:
        await rig.release()
        for name in "abc":
            assert ids(await rig.scorer.score(request(rig.model, name), 0)) == (name,)
        assert rig.backend.calls == [("busy",), ("a",), ("b",), ("c",)]


async def test_a_call_has_a_limit_and_keeps_the_order(toy: ModelBundle) -> None:
    """What fits goes, in the order of arrival; the first in line always goes, if need be alone."""
    async with busy_scorer(toy, micro_batch_records=3) as rig:
        lines = ["ab", "c", "defghij", "kl", "m", "no"]
        tasks = [await rig.ask(*names) for names in lines]
        found = await rig.release(*tasks)
        assert ["".join(ids(outcome)) for outcome in found] == lines
        calls = ["".join(names) for names in rig.backend.calls[1:]]
        assert calls == ["abc", "defghij", "klm", "no"]


async def test_a_bad_record_fails_its_own_request_only(toy: ModelBundle) -> None:
    """The others of the call get their scores; the position is that in its own request."""
    async with busy_scorer(toy) as rig:
        tasks = [await rig.ask("a", "b"), await rig.ask("c", n=BAD), await rig.ask("d")]
        good, bad, other = await rig.release(*tasks)
        assert (ids(good), good[1]) == (("a", "b"), ())
        assert (ids(other), other[1]) == (("d",), ())
        [rejection] = bad[1]
        assert (rejection.position, rejection.record_id) == (0, "c")
        assert (ids(bad), rejection.code) == ((), RejectionCode.MODEL_ERROR)


async def test_a_bad_record_is_a_problem_for_its_own_request_only(toy: ModelBundle) -> None:
    """The same over HTTP: one answer of 500, the others of 200, in fewer calls than requests."""
    backend = GatedBackend(toy.backend)
    async with open_api(with_backend(toy, backend, compiled=False)) as api:
        rows = [{**GOOD, "n": BAD if i == 5 else i % 5, "record_id": f"r{i}"} for i in range(30)]
        tasks = [asyncio.create_task(api.client.post("/predict", json=[row])) for row in rows]
        assert await asyncio.to_thread(backend.called.wait, 10)
        backend.gate.set()
        answers = await asyncio.gather(*tasks)
        problem(answers.pop(5), 500, "model-error")
        expected = [f"r{i}" for i in range(30) if i != 5]
        assert [a.json()["predictions"][0]["record_id"] for a in answers] == expected
        assert api.counted("trilane_model_call_records_count") < 10


@pytest.mark.parametrize(
    ("n", "kind"),
    [(BROKEN, ValueError), (STOPPING, RuntimeError), (TIMING_OUT, TimeoutError)],
)
async def test_any_other_error_reaches_every_request_of_the_call(
    toy: ModelBundle, n: int, kind: type[Exception]
) -> None:
    """None hangs, an error of the model is no overload, and the next call is made."""
    async with busy_scorer(toy) as rig:
        tasks = [await rig.ask("a"), await rig.ask("b", n=n)]
        found = await asyncio.wait_for(rig.release(*tasks), 10)
        assert [type(error) for error in found] == [kind] * 2
        assert ids(await rig.scorer.score(request(rig.model, "c"), 0)) == ("c",)


async def test_a_request_waits_so_long_and_no_longer(toy: ModelBundle) -> None:
    """Refused while the model is still busy, and not scored afterwards; one whose call has begun
    is answered however long it takes.
    """
    async with busy_scorer(toy, max_wait_seconds=0.05) as rig:
        late = await rig.ask("late")
        with pytest.raises(ProblemError) as caught:
            await asyncio.wait_for(late, 10)
        assert caught.value.kind is OVERLOADED
        assert not rig.busy.done()
        await rig.release()
        assert ids(rig.busy.result()) == ("busy",)
        assert ids(await rig.scorer.score(request(rig.model, "next"), 0)) == ("next",)
        assert rig.backend.calls == [("busy",), ("next",)]


async def test_waiting_too_long_is_an_answer(toy: ModelBundle) -> None:
    """503 with Retry-After; the request that keeps the model busy gets its score."""
    backend = GatedBackend(toy.backend)
    model = with_backend(toy, backend, compiled=False)
    async with open_api(model, Limits(max_wait_seconds=0.05)) as api:
        first = asyncio.create_task(api.client.post("/predict", json=[GOOD]))
        assert await asyncio.to_thread(backend.called.wait, 10)
        answer = await api.client.post("/predict", json=[GOOD])
        assert "within 0.05 seconds" in problem(answer, 503, "overloaded")["detail"]
        assert answer.headers["retry-after"] == "1"
        backend.gate.set()
        assert (await first).status_code == 200
        assert len(api.log.batches) == 1


async def test_the_line_has_an_end(toy: ModelBundle) -> None:
    """One more than may wait is refused at once; those in line are all scored; one who leaves makes
    room for another.
    """
    async with busy_scorer(toy) as rig:
        tasks = [await rig.ask(f"r{i}") for i in range(Limits().max_waiting)]
        refused = await rig.ask("more")
        with pytest.raises(ProblemError) as caught:
            await refused
        assert caught.value.kind is OVERLOADED
        tasks.pop().cancel()
        await asyncio.sleep(0)
        tasks.append(await rig.ask("another"))
        found = await rig.release(*tasks)
        expected = [*(f"r{i}" for i in range(Limits().max_waiting - 1)), "another"]
        assert [ids(outcome) for outcome in found] == [(name,) for name in expected]


async def test_a_caller_that_goes_away_takes_nobody_along(toy: ModelBundle) -> None:
    """While it waits it leaves the line and is not scored; in a call that has begun, the others
    of the call are answered.
    """
    async with busy_scorer(toy, max_wait_seconds=60) as rig:
        gone, stays = await rig.ask("gone"), await rig.ask("stays")
        gone.cancel()
        rig.busy.cancel()
        rig.backend.gate.set()
        assert ids(await asyncio.wait_for(stays, 10)) == ("stays",)
        assert (gone.cancelled(), rig.busy.cancelled()) == (True, True)
        assert rig.backend.calls == [("busy",), ("stays",)]


async def test_a_caller_that_goes_away_as_the_next_call_is_made_is_not_in_it(
    toy: ModelBundle,
) -> None:
    """Even when it had no time yet to leave the line."""
    async with busy_scorer(toy) as rig:
        gone, stays = await rig.ask("gone"), await rig.ask("stays")
        rig.backend.gate.set()
        rig.backend.ended.wait(10)  # with the event loop held, so that the end of the call waits
        time.sleep(0.1)  # noqa: ASYNC251
        await asyncio.sleep(0)
        gone.cancel()
        assert ids(await asyncio.wait_for(stays, 10)) == ("stays",)
        assert rig.backend.calls == [("busy",), ("stays",)]


async def test_closing_answers_everyone(toy: ModelBundle) -> None:
    """In line or in a call: nobody waits for ever, and nobody who comes later either."""
    async with busy_scorer(toy) as rig:
        waiting = await rig.ask("waiting")
        rig.scorer.close()
        for task in (rig.busy, waiting, await rig.ask("later")):
            with pytest.raises((ProblemError, RuntimeError)) as caught:
                await asyncio.wait_for(task, 10)
            assert kind_of(caught.value) in (NOT_READY, None)


def kind_of(error: Exception) -> Kind | None:
    """The kind of a problem, None of another error."""
    return error.kind if isinstance(error, ProblemError) else None


async def test_requests_for_reasons_share_a_call_and_get_as_many_as_they_asked_for(
    toy: ModelBundle,
) -> None:
    """The call has the largest number; requests that asked for none are not explained, and do not
    fail where only the explaining fails.
    """
    explainer = ToyExplainer()
    async with busy_scorer(explained(toy, explainer)) as rig:
        tasks = [
            await rig.ask("a", reasons=1),
            await rig.ask("b", n=UNEXPLAINED),
            await rig.ask("c", reasons=3),
            await rig.ask("d"),
            await rig.ask("e", n=UNEXPLAINED, reasons=2),
        ]
        a, b, c, d, e = await rig.release(*tasks)
        assert [[len(r) for r in s[0].reasons.as_lists()] for s in (a, c)] == [[1], [3]]
        assert (b[0].reasons, d[0].reasons) == (None, None)
        assert [r.record_id for r in e[1]] == ["e"]
        assert rig.backend.calls[1] == ("a", "c", "e")
        assert rig.backend.calls[-1] == ("b", "d")
        assert explainer.calls[0] == 3


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_shared_call_answers_what_each_request_alone_would_get(
    toy: ModelBundle, data: st.DataObject
) -> None:
    """Bit for bit, with bad records among them, invalid ones, and reasons of any number."""
    gated = GatedBackend(toy.backend)
    gated.gate.set()
    model = with_backend(explained(toy), gated, compiled=False)
    fewest = data.draw(st.sampled_from([0, 1]))
    counts = st.just(0) if fewest == 0 else st.integers(1, 6)
    sizes = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=8))
    parts: list[Part] = []
    for number, size in enumerate(sizes):
        rows: list[Any] = records(size, seed=data.draw(st.integers(0, 99)))
        for at in data.draw(st.sets(st.integers(0, size - 1))):
            rows[at] = {**rows[at], "n": data.draw(st.sampled_from([BAD, UNEXPLAINED, None, 2]))}
        names = [f"{number}/{i}" for i in range(size)]
        parts.append(Part(validate_rows(model.schema, rows, names), data.draw(counts)))
    together = score_together(model, parts)
    alone = [score_valid(model, part.valid, part.reasons) for part in parts]
    assert [outcome(scores) for scores in together] == [outcome(scores) for scores in alone]


def outcome(scores: Scores) -> tuple[Sequence[dict[str, Any]], Any, list[Any]]:
    """Everything that an answer is made of, exactly."""
    scored, rejections = scores
    return scored.predictions(), rejections, [np.asarray(c).tolist() for c in scored.batch.columns]
