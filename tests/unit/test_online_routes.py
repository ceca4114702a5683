"""Probes, metrics, the model, the docs page and the OpenAPI document."""

from collections.abc import AsyncIterator

import pytest

from scoring.model import ModelBundle
from tests.support.online import GOOD, Api, open_api, problem
from tests.support.toy import NOW, load_toy


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.fixture
async def api(toy: ModelBundle) -> AsyncIterator[Api]:
    """The API over the toy model."""
    async with open_api(toy) as opened:
        yield opened


async def test_readiness_follows_the_process(toy: ModelBundle) -> None:
    """Not ready before the start, while draining and after the stop; alive throughout."""
    async with open_api(toy, started=False) as api:

        async def ready() -> bool:
            assert (await api.client.get("/livez")).status_code == 200
            answer = await api.client.get("/readyz")
            if answer.status_code != 200:
                problem(answer, 503, "not-ready")
            return answer.status_code == 200

        seen = [await ready()]
        for step in (api.readiness.start, api.readiness.drain, api.readiness.stop):
            step()
            seen.append(await ready())
        assert seen == [False, True, False, False]


async def test_metrics_are_prometheus_text(api: Api) -> None:
    """The counters of this lane, with its labels."""
    await api.client.post("/predict", json=[GOOD])
    answer = await api.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    labels = 'lane="online",model="toy",outcome="scored",version="7"'
    assert f"trilane_records_total{{{labels}}} 1.0" in answer.text


async def test_the_model_is_told(api: Api, toy: ModelBundle) -> None:
    """Which model answers, with everything that identifies it and without an example record."""
    document = (await api.client.get("/model")).json()
    assert document["name"] == "toy"
    assert document["version"] == "7"
    assert document["digest"] == toy.manifest.digest
    assert document["backend"]["kind"] == "onnx"
    assert document["parity"]["max_difference"] == 0.0
    assert document["threshold"] == 0.5
    assert document["loaded_at"] == NOW.isoformat()
    assert (document["alias"], document["source_digest"]) == (None, "0" * 64)
    assert document["threads"] == 1
    assert document["reasons"]["available"] is False
    assert document["reasons"]["detail"] == "the toy gives none"
    assert (document["outlier_threshold"], document["outlier_share"]) == (0.95, None)
    assert [c["name"] for c in document["signature"]["inputs"]] == ["x", "n", "flag", "name"]
    assert [c["name"] for c in document["signature"]["outputs"]] == ["score", "label"]
    assert document["files"] == toy.manifest.files
    assert "example" not in document


@pytest.mark.parametrize("path", ["/predict/", "/assets/index.html", "/assets/"])
async def test_other_paths_are_not_found(api: Api, path: str) -> None:
    """A path that is no route is a problem, and is not redirected."""
    problem(await api.client.get(path), 404, "not-found")


async def test_other_methods_are_not_allowed(api: Api) -> None:
    """The problem says which methods are."""
    answer = await api.client.get("/predict")
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"
    problem(await api.client.delete("/model"), 405, "method-not-allowed")
