"""Every way a request to `/predict` can be wrong, and what is answered."""

import json
from collections.abc import AsyncIterator

import pytest

from online_api.body import LINGER_BYTES
from online_api.context import Limits
from online_api.problems import MAX_ERRORS
from scoring.errors import StorageUnavailable
from scoring.model import ModelBundle
from tests.support.online import GOOD, JSON, SECRET, Api, MemoryLog, open_api, problem
from tests.support.toy import load_toy


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.fixture
async def api(toy: ModelBundle) -> AsyncIterator[Api]:
    """The API over the toy model."""
    async with open_api(toy) as opened:
        yield opened


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[1] x", "not JSON"),
        (b'[{"x": NaN]', "not JSON"),
        (b"NaN", "must be an array of records"),
        (b'[{"x": "\xff"}]', "not UTF-8"),
        (b'[{"x": "\\ud800"}]', "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'"text"', "must be an array of records"),
        (b"17", "must be an array of records"),
        (b"null", "must be an array of records"),
        (b"{}", "must be an array of records"),
        (b'{"x": 1, "n": 2}', "must be an array of records"),
        (b'{"records": {"x": 1}}', "must be an array of records"),
        (b'{"records": [], "more": 1}', "unknown member 'more'"),
        (b'{"records": [1], "event_time": 5}', "event_time"),
        (b'{"records": [1], "event_time": null}', "event_time"),
        (b'{"records": [1], "event_time": "soon"}', "event_time"),
        (b'{"records": [1], "event_time": "2026-03-02T12:00:00"}', "event_time"),
        (b'{"records": [1], "event_time": "2026-03-02"}', "event_time"),
        (b'{"records": [1], "event_time": "0001-01-01T00:00:00+14:00"}', "event_time"),
    ],
)
async def test_a_body_that_cannot_be_read_is_malformed(api: Api, body: bytes, detail: str) -> None:
    """400 with the rule it breaks; nothing is counted, for nothing could be."""
    answer = await api.client.post("/predict", content=body, headers=JSON)
    assert detail in problem(answer, 400, "malformed-request")["detail"]
    assert api.log.batches == []


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
async def test_a_number_that_is_not_finite_names_its_field(api: Api, number: str) -> None:
    """Python and others write such numbers, although JSON has none of them."""
    good = json.dumps([GOOD, GOOD])
    body = good.replace(json.dumps(GOOD["x"]), number, 1)
    answer = await api.client.post("/predict", content=body.encode(), headers=JSON)
    (error,) = problem(answer, 422, "invalid-records")["errors"]
    assert (error["field"], error["code"]) == ("records[0].x", "not_finite")


async def test_no_records_are_refused(api: Api) -> None:
    """An empty list is a mistake of the caller, in both forms."""
    for body in (b"[]", b'{"records": []}'):
        answer = await api.client.post("/predict", content=body, headers=JSON)
        problem(answer, 422, "no-records")


async def test_size_has_limits(toy: ModelBundle) -> None:
    """Bytes are refused by what is announced and by what comes; records by their number."""
    pulled = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal pulled
        for _ in range(10_000):
            pulled += 1
            yield b" " * 100_000

    async with open_api(toy, Limits(max_body_bytes=250, max_records=2)) as api:
        announced = {**JSON, "content-length": "251"}
        answer = await api.client.post("/predict", content=chunks(), headers=announced)
        problem(answer, 413, "body-too-large")
        assert pulled == LINGER_BYTES // 100_000 + 1, "thrown away up to a limit"
        pulled = 0
        problem(await api.client.post("/predict", content=chunks()), 413, "body-too-large")
        assert pulled == LINGER_BYTES // 100_000 + 2, "and so from where it gets too large"
        assert (await api.client.post("/predict", json=[GOOD, GOOD])).status_code == 200
        problem(await api.client.post("/predict", json=[1, 2, 3]), 413, "too-many-records")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"content-type": "application/json; charset=utf-8"}, 200),
        ({"content-type": "Application/Vnd.Hr+JSON"}, 200),
        ({"content-type": "text/csv"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": ""}, 415),
        ({"content-type": "application/json", "content-encoding": "gzip"}, 415),
    ],
)
async def test_the_content_type_must_be_json(
    api: Api, headers: dict[str, str], status: int
) -> None:
    """A body that says it is something else is not guessed at; one that says nothing is JSON."""
    body = json.dumps([GOOD]).encode()
    answer = await api.client.post("/predict", content=body, headers=headers)
    assert answer.status_code == status
    if status != 200:
        problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a-Z_0.9:b", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("", False),
        ("a b", False),
        ("a\tb", False),
        ("<script>", False),
    ],
)
async def test_a_plain_request_id_is_kept(api: Api, sent: str, kept: bool) -> None:
    """The caller's id comes back on success and on errors, unless it is long or odd."""
    for body, status in ([GOOD], 200), ([], 422):
        headers = {"x-request-id": sent}
        answer = await api.client.post("/predict", json=body, headers=headers)
        assert answer.status_code == status
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
        assert (answer.headers["x-request-id"] == sent) is kept
    assert (await api.client.get("/nowhere", headers={"x-request-id": "r"})).headers[
        "x-request-id"
    ] == "r"


async def test_a_log_that_fails_is_no_answer(toy: ModelBundle) -> None:
    """Without its entry no score leaves."""
    async with open_api(toy, log=MemoryLog(StorageUnavailable(SECRET))) as api:
        answer = await api.client.post("/predict", json=[GOOD])
        problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "1"
        assert SECRET not in answer.text


async def test_an_unexpected_error_is_an_answer(
    toy: ModelBundle, caplog: pytest.LogCaptureFixture
) -> None:
    """500 without the error's words, which stay out of the server's log as well."""
    async with open_api(toy, log=MemoryLog(KeyError(SECRET))) as api:
        answer = await api.client.post("/predict", json=[GOOD])
        problem(answer, 500, "internal-error")
    [record] = [r for r in caplog.records if r.levelname == "ERROR"]
    assert record.getMessage() == "unexpected KeyError"
    assert "append" in "".join(vars(record)["at"])
    assert SECRET not in answer.text + str([vars(r) for r in caplog.records])


async def test_nothing_is_scored_before_the_start_and_after_the_stop(toy: ModelBundle) -> None:
    """503 with Retry-After; while draining, a request that arrives is still answered."""
    async with open_api(toy, started=False) as api:
        answer = await api.client.post("/predict", json=[GOOD])
        problem(answer, 503, "not-ready")
        assert answer.headers["retry-after"] == "1"
        api.readiness.start()
        api.readiness.drain()
        assert (await api.client.post("/predict", json=[GOOD])).status_code == 200
        api.readiness.stop()
        problem(await api.client.post("/predict", json=[GOOD]), 503, "not-ready")


async def test_the_list_of_errors_is_bounded(api: Api) -> None:
    """The first thousand errors and their number; of an unknown name 64 characters."""
    name = "y" * 200
    answer = await api.client.post("/predict", json=[{**GOOD, name: 1}] * (MAX_ERRORS + 5))
    document = problem(answer, 422, "invalid-records")
    assert len(document["errors"]) == MAX_ERRORS
    assert document["error_count"] == MAX_ERRORS + 5
    assert document["errors"][0]["field"] == f"records[0].{'y' * 64}"
