"""What the OpenAPI document shows is what happens: its examples, its answers, its problems."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest

from online_api.problems import MEDIA_TYPE
from scoring.manifest import OutputColumn, OutputSpec
from scoring.model import ModelBundle
from tests.support.online import GOOD, Api, open_api, with_backend
from tests.support.openapi import document_of, operations, resolved, standing
from tests.support.reasons import explained
from tests.support.toy import EXAMPLE, load_toy

SCORING_422 = {"no-records", "invalid-records", "reasons-unavailable"}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.fixture(scope="module")
def rival(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """A second model whose name needs care in paths, and is another name in components."""
    directory = tmp_path_factory.mktemp("rival") / "bundle"
    return load_toy(directory, reference=0, name="räv l 1", version="2 b", role="challenger")


@pytest.fixture
async def api(toy: ModelBundle, rival: ModelBundle) -> AsyncIterator[Api]:
    """The API over both, one of which gives reasons."""
    async with open_api(explained(toy), challengers=[rival]) as opened:
        yield opened


async def served_document(api: Api) -> dict[str, Any]:
    """The document as it is served."""
    document: dict[str, Any] = (await api.client.get("/openapi.json")).json()
    return document


async def test_every_example_works(api: Api) -> None:
    """What stands in the document for a request is answered as the document shows it, and the
    schemas hold for request and answer.
    """
    document = await served_document(api)
    tried = []
    for operation in operations(document):
        success = operation.body["responses"]["200"]["content"].get("application/json", {})
        shown = [example["value"] for example in success.get("examples", {}).values()]
        for kind, body in operation.body.get("requestBody", {"content": {}})["content"].items():
            for name, example in body.get("examples", {}).items():
                value = example["value"]
                jsonschema.validate(value, standing(document, body["schema"]))
                text = value if isinstance(value, str) else json.dumps(value)
                answer = await api.client.post(
                    operation.path, content=text, headers={"content-type": kind}
                )
                assert answer.status_code == 200, answer.text
                jsonschema.validate(answer.json(), standing(document, success["schema"]))
                assert without_ids(answer.json()) == without_ids(shown[0])
                tried.append((operation.path, name))
    assert len(tried) == len(set(tried)) == 3 * 2 + 5 + 4


def without_ids(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without what differs from request to request."""
    return {name: value for name, value in answer.items() if name not in ("id", "request_id")}


async def test_reasons_hold_to_the_schemas(api: Api) -> None:
    """In every protocol that has a schema for them."""
    document = await served_document(api)
    for path, kind in [("/predict", "application/json"), ("/invocations", "application/json")]:
        operation = document["paths"][path]["post"]
        example = next(iter(operation["requestBody"]["content"][kind]["examples"].values()))
        answer = await api.client.post(f"{path}?reasons=2", json=example["value"])
        assert len(answer.json()["predictions"][0]["reasons"]) == 2
        schema = operation["responses"]["200"]["content"][kind]["schema"]
        jsonschema.validate(answer.json(), standing(document, schema))


async def test_the_shown_problem_is_what_happens(api: Api) -> None:
    """The 422 of the document is the answer to the example without its first field."""
    document = await served_document(api)
    problems = document["paths"]["/predict"]["post"]["responses"]["422"]["content"][MEDIA_TYPE]
    shown = problems["examples"].pop("a-field-is-missing")["value"]
    record = {name: value for name, value in EXAMPLE.items() if name != "x"}
    answer = await api.client.post("/predict", json=[record])
    assert without_ids(answer.json()) == without_ids(shown)
    assert set(problems["examples"]) == SCORING_422


async def test_other_documents_hold_to_their_schemas(api: Api) -> None:
    """Every `GET` whose answer has a schema, and a problem."""
    document = await served_document(api)
    tried = 0
    for operation in operations(document):
        success = operation.body["responses"]["200"]["content"].get("application/json", {})
        if operation.method == "get" and "schema" in success:
            path = operation.path.replace("{name}", "toy").replace("{version}", "7")
            answer = await api.client.get(path)
            assert answer.status_code == 200
            jsonschema.validate(answer.json(), standing(document, success["schema"]))
            tried += 1
    assert tried == 12
    refused = await api.client.post("/predict", json=[{**GOOD, "x": "?"}])
    jsonschema.validate(refused.json(), resolved(document, "Problem"))


class Failing:
    """A backend that fails."""

    def compute(self, _: Any) -> Any:
        """Raises RuntimeError."""
        raise RuntimeError("no")


@pytest.mark.parametrize("compiled", [True, False])
def test_a_model_that_cannot_score_its_example_shows_no_answer(
    toy: ModelBundle, compiled: bool
) -> None:
    """One that fails, and one whose calls belong to another thread; the request is shown."""
    backend = Failing() if compiled else toy.backend
    operation = document_of(with_backend(toy, backend, compiled))["paths"]["/predict"]["post"]
    assert "examples" in operation["requestBody"]["content"]["application/json"]
    assert "examples" not in operation["responses"]["200"]["content"]["application/json"]


async def test_a_model_with_one_output_answers_mlflow_with_bare_values(toy: ModelBundle) -> None:
    """The schema says so, and allows an object where reasons may stand beside the value."""
    spec = OutputSpec("columns", ["Yes"], [OutputColumn("chance", "double")])
    manifest = msgspec.structs.replace(toy.manifest, output=spec, outlier=None)
    bare = replace(toy, manifest=manifest, outlier=None)
    for model, queries in [(bare, [""]), (explained(bare), ["", "?reasons=1"])]:
        async with open_api(model) as api:
            document = await served_document(api)
            for query in queries:
                answer = await api.client.post(f"/invocations{query}", json={"inputs": [GOOD]})
                jsonschema.validate(answer.json(), resolved(document, "Invocations"))
