"""Probes, metrics, the model, the docs page and the OpenAPI document."""

import re
from collections.abc import AsyncIterator

import jsonschema  # type: ignore[import-untyped]
import pytest

from online_api.context import Limits
from online_api.openapi import build_openapi
from online_api.problems import KINDS
from scoring.model import ModelBundle
from tests.support.log_entries import wide_model
from tests.support.online import GOOD, Api, open_api, problem
from tests.support.openapi import resolved
from tests.support.toy import EXAMPLE, NOW, load_toy


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


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/predict/", "/assets/index.html", "/assets/"])
async def test_other_paths_are_not_found(api: Api, path: str) -> None:
    """A path that is no route is a problem, and is not redirected."""
    problem(await api.client.get(path), 404, "not-found")


async def test_other_methods_are_not_allowed(api: Api) -> None:
    """The problem says which methods are."""
    answer = await api.client.get("/predict")
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"
    problem(await api.client.delete("/model"), 405, "method-not-allowed")


async def test_the_docs_page_needs_no_other_host(api: Api) -> None:
    """Everything the page loads comes from this server, and the page says so to the browser."""
    page = await api.client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert sorted(loaded) == [
        "assets/start.js",
        "assets/swagger-ui-bundle.js",
        "assets/swagger-ui.css",
        "data:,",
    ]
    assert "//" not in page.text
    for path in loaded[1:]:
        answer = await api.client.get(f"/{path}")
        assert answer.status_code == 200
        assert answer.text
    start = (await api.client.get("/assets/start.js")).text
    assert 'url: "openapi.json"' in start
    assert "//" not in start
    assert "validatorUrl: null" in start


async def test_the_document_is_typed_by_the_model(api: Api) -> None:
    """Fields with types, the model's own example, and the names of its outputs."""
    document = (await api.client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.0")
    schemas = document["components"]["schemas"]
    record = schemas["Record"]
    assert record["required"] == ["x", "n", "flag", "name"]
    assert record["properties"]["x"] == {"type": "number", "format": "double"}
    assert record["properties"]["n"] == {"type": "integer", "format": "int64"}
    assert record["example"] == EXAMPLE
    assert record["properties"]["record_id"]["oneOf"][1] == {"type": "integer"}
    assert record["additionalProperties"] is False
    prediction = schemas["Prediction"]["properties"]
    assert list(prediction) == ["record_id", "score", "label", "outlier", "outlier_score"]
    assert prediction["label"]["enum"] == ["No", "Yes"]
    kinds = schemas["Problem"]["properties"]["type"]["enum"]
    assert kinds == [kind.type for kind in KINDS]
    paths = {"/predict", "/model", "/livez", "/readyz", "/metrics"}
    assert set(document["paths"]) == paths


async def test_what_the_document_shows_works(api: Api) -> None:
    """Its examples are scored, and answers and problems have the form it gives them."""
    document = (await api.client.get("/openapi.json")).json()
    operation = document["paths"]["/predict"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert set(examples) == {"array", "object"}
    for example in examples.values():
        jsonschema.validate(example["value"], resolved(document, "Request"))
        answer = await api.client.post("/predict", json=example["value"])
        assert answer.status_code == 200
        jsonschema.validate(answer.json(), resolved(document, "Predictions"))
    refused = await api.client.post("/predict", json=[{**GOOD, "x": "?"}])
    jsonschema.validate(refused.json(), resolved(document, "Problem"))
    assert {"200", "400", "413", "415", "422", "500", "503"} == set(operation["responses"])


def test_optional_fields_are_nullable(toy: ModelBundle) -> None:
    """An optional input is told the OpenAPI 3.0 way; a model without detector shows no outlier."""
    document = build_openapi(wide_model(toy), Limits())
    schemas = document["components"]["schemas"]
    whole = schemas["Record"]["properties"]["whole"]
    assert whole == {"type": "integer", "format": "int32", "nullable": True}
    assert schemas["Record"]["required"] == ["scored_at"]
    assert "example" not in schemas["Record"]
    assert list(schemas["Prediction"]["properties"]) == ["record_id", "score", "label"]
