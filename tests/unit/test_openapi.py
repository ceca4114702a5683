"""The OpenAPI document: typed by the models, and true."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest

from online_api.context import Limits
from online_api.openapi import Guards
from online_api.problems import KINDS, MEDIA_TYPE
from scoring.model import ModelBundle
from scoring.schema import Schema
from tests.support.log_entries import WIDE_ROWS, wide_model
from tests.support.online import Api, open_api, with_backend
from tests.support.openapi import document_of, operations, resolved, routes_of, standing
from tests.support.reasons import explained
from tests.support.toy import EXAMPLE, load_toy

DOCS = {"/", "/docs", "/redoc", "/openapi.json"}


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


async def test_every_route_is_in_the_document(api: Api) -> None:
    """With its method; paths that score stand there once for each model."""
    document = await served_document(api)
    found = {(operation.method.upper(), operation.path) for operation in operations(document)}
    seen = set()
    for method, path in routes_of(api.app):
        if path in DOCS:
            continue
        pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", path))
        described = {item for item in found if item[0] == method and pattern.fullmatch(item[1])}
        assert described, path
        assert method == "GET" or len(described) == (2 if "{" in path else 1)
        seen |= described
    assert seen == found


def test_fields_have_types_and_words(toy: ModelBundle) -> None:
    """The types of the signature, what is required, the example, and no other field."""
    record = document_of(toy)["components"]["schemas"]["toy_Record"]
    assert record["required"] == ["x", "n", "flag", "name"]
    assert list(record["properties"]) == ["record_id", "x", "n", "flag", "name", "comment"]
    number, whole = record["properties"]["x"], record["properties"]["n"]
    assert (number["type"], number["format"]) == ("number", "double")
    assert (whole["type"], whole["format"]) == ("integer", "int64")
    assert "64 bits" in whole["description"]
    assert record["properties"]["flag"]["type"] == "boolean"
    assert record["properties"]["record_id"]["oneOf"][1] == {"type": "integer"}
    assert "not used" in record["properties"]["comment"]["description"]
    assert record["additionalProperties"] is False
    assert [list(example.items()) for example in record["examples"]] == [list(EXAMPLE.items())]


def test_outputs_have_types_and_words(toy: ModelBundle) -> None:
    """Names, types, what a score means, and from where on a record is an outlier."""
    prediction = document_of(toy)["components"]["schemas"]["toy_Prediction"]
    found = prediction["properties"]
    assert list(found) == ["record_id", "score", "label", "outlier", "outlier_score"]
    assert prediction["required"] == list(found)
    assert found["label"]["enum"] == ["No", "Yes"]
    assert "0.5" in found["label"]["description"]
    assert (found["score"]["minimum"], found["score"]["maximum"]) == (0, 1)
    assert "`Yes`" in found["score"]["description"]
    assert "0.95" in found["outlier"]["description"]


def test_reasons_are_shown_where_the_model_gives_them(toy: ModelBundle) -> None:
    """As a member that is not always there; without them the parameter says why."""
    prediction = document_of(explained(toy))["components"]["schemas"]["toy_Prediction"]
    assert "reasons" not in prediction["required"]
    feature = prediction["properties"]["reasons"]["items"]["properties"]["feature"]
    assert feature["enum"] == ["x", "n", "flag", "name"]
    without = document_of(toy)
    assert "reasons" not in without["components"]["schemas"]["toy_Prediction"]["properties"]
    [parameter] = [
        parameter
        for parameter in without["paths"]["/predict"]["post"]["parameters"]
        if parameter.get("name") == "reasons"
    ]
    assert "the toy gives none" in parameter["description"]


def test_every_problem_has_an_example(toy: ModelBundle) -> None:
    """Under its status, with its own type and title; every operation's reference leads there."""
    document = document_of(toy)
    seen = {}
    for name, response in document["components"]["responses"].items():
        content = response["content"][MEDIA_TYPE]
        for example in content["examples"].values():
            jsonschema.validate(example["value"], standing(document, content["schema"]))
            assert name == f"Problem{example['value']['status']}"
            seen[example["value"]["type"]] = example["value"]["title"]
    assert seen == {kind.type: kind.title for kind in KINDS}
    for operation in operations(document):
        for status, response in operation.body["responses"].items():
            name = response.get("$ref", f"#/components/responses/Problem{status}")
            assert name.rpartition("/")[2] in document["components"]["responses"] or status == "200"


def test_which_problems_an_operation_shows(toy: ModelBundle) -> None:
    """Those of its kind; who must say who they are sees the refusals too."""
    scoring = {"200", "400", "408", "413", "415", "422", "431", "500", "503"}
    open_to_all, guarded = document_of(toy), document_of(toy, guards=Guards("admin", "score"))
    for path, statuses in {
        "/predict": scoring,
        "/predict/toy": scoring | {"404"},
        "/v2/models/toy/infer": scoring | {"404"},
        "/invocations": scoring,
        "/models/{name}": {"200", "404", "431", "500", "503"},
        "/metrics": {"200", "431", "500", "503"},
        "/livez": {"200", "431", "500"},
    }.items():
        for document, refusals in [(open_to_all, set[str]()), (guarded, {"401", "403"})]:
            (operation,) = document["paths"][path].values()
            expected = statuses | (set() if path == "/livez" else refusals)
            assert set(operation["responses"]) == expected, path


def test_optional_fields_may_be_null(toy: ModelBundle) -> None:
    """Every type, each optional; a model without an example or a detector shows none."""
    document = document_of(wide_model(toy))
    record = document["components"]["schemas"]["toy_Record"]
    assert record["properties"]["whole"]["type"] == ["integer", "null"]
    assert "null or absent" in record["properties"]["whole"]["description"]
    assert record["properties"]["when"]["format"] == "date-time"
    assert record["required"] == ["scored_at"]
    assert "examples" not in record
    content = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert "examples" not in content
    prediction = document["components"]["schemas"]["toy_Prediction"]
    assert list(prediction["properties"]) == ["record_id", "score", "label"]
    for row in WIDE_ROWS:
        jsonschema.validate(row, resolved(document, "toy_Record"))


def test_a_field_of_the_name_record_id_is_a_field(toy: ModelBundle) -> None:
    """With the type of the signature, and no id beside it."""
    columns = [{"name": "record_id", "type": "double"}, {"name": "n", "type": "long"}]
    schema = Schema.from_signature(columns, (), {"record_id": 1.5, "n": 3})
    document = document_of(with_backend(replace(toy, schema=schema), toy.backend, compiled=False))
    record = document["components"]["schemas"]["toy_Record"]
    assert record["properties"]["record_id"]["type"] == "number"
    content = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert content["examples"]["an-array-of-records"]["value"] == [{"record_id": 1.5, "n": 3}]


def test_names_of_several_models(toy: ModelBundle, rival: ModelBundle) -> None:
    """Each has paths and components of its own, whatever letters its name has."""
    same = msgspec.structs.replace(toy.manifest, name="r_v l_1")
    document = document_of(toy, rival, replace(toy, manifest=same))
    paths = [path for path in document["paths"] if path.startswith("/predict/")]
    assert paths == ["/predict/toy", "/predict/r%C3%A4v%20l%201", "/predict/r_v%20l_1"]
    records = [name for name in document["components"]["schemas"] if name.endswith("_Record")]
    assert records == ["toy_Record", "r_v_l_1_Record", "r_v_l_1__Record"]
    ids = [operation.body["operationId"] for operation in operations(document)]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch("[A-Za-z0-9._-]+", name) for name in [*ids, *records])


def test_what_callers_must_present(toy: ModelBundle) -> None:
    """Nothing, unless access is configured; then a key or a token with the role of the route."""
    assert "securitySchemes" not in document_of(toy)["components"]
    assert not any("security" in operation.body for operation in operations(document_of(toy)))
    document = document_of(toy, guards=Guards(metrics=None, model="admin"))
    schemes = document["components"]["securitySchemes"]
    assert schemes["ApiKey"]["name"] == "X-API-Key"
    assert (schemes["Bearer"]["scheme"], schemes["Bearer"]["bearerFormat"]) == ("bearer", "JWT")
    roles = {}
    for operation in operations(document):
        security = operation.body.get("security")
        roles[operation.path] = None if security is None else security[0]["ApiKey"][0]
        assert security is None or [list(one) for one in security] == [["ApiKey"], ["Bearer"]]
    expected = dict.fromkeys(document["paths"], None)
    expected |= {path: "score" for path, item in document["paths"].items() if "post" in item}
    expected |= dict.fromkeys(
        ["/model", "/models", "/models/{name}", "/v2/models/{name}",
         "/v2/models/{name}/versions/{version}"],
        "admin",
    )  # fmt: skip
    assert roles == expected


def test_the_limits_are_in_the_document(toy: ModelBundle) -> None:
    """In words, and as the most records of an array."""
    document = document_of(toy, limits=Limits(max_body_bytes=12_345, max_records=67))
    assert "67 records in 12,345 bytes" in document["paths"]["/predict"]["post"]["description"]
    array = document["components"]["schemas"]["toy_PredictRequest"]["oneOf"][0]
    assert (array["minItems"], array["maxItems"]) == (1, 67)
