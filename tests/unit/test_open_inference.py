"""The Open Inference Protocol in this process, with tensors as JSON."""

import json
import tomllib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from online_api.context import Limits
from online_api.problems import (
    INVALID_RECORDS,
    MALFORMED,
    ProblemError,
    problem_response,
)
from online_api.protocols.open_inference import SERVER_VERSION
from scoring.errors import StorageUnavailable
from scoring.model import ModelBundle
from scoring.records import Column, RecordBatch, Rejection, RejectionCode, Violation
from scoring.schema import Schema
from tests.support.online import (
    GOOD,
    JSON,
    ROOT,
    SECRET,
    Api,
    MemoryLog,
    open_api,
    problem,
    with_backend,
)
from tests.support.protocols import column_tensors, tensor, text_matrix
from tests.support.reasons import expected_reasons, explained
from tests.support.toy import load_toy, records

INFER = "/v2/models/toy/infer"
OUTPUTS = {"score": "FP64", "label": "BYTES", "outlier": "BOOL", "outlier_score": "FP64"}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.fixture
async def api(toy: ModelBundle) -> AsyncIterator[Api]:
    """The API over the toy model."""
    async with open_api(toy) as opened:
        yield opened


async def infer(api: Api, tensors: list[Any], path: str = INFER, **members: Any) -> Any:
    """The document of an answer."""
    answer = await api.client.post(path, json={"inputs": tensors, **members})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(api: Api, status: int, code: str, tensors: Any, **members: Any) -> dict[str, Any]:
    """The problem of a request that must be refused, without the secret in it."""
    answer = await api.client.post(INFER, json={"inputs": tensors, **members})
    assert SECRET not in answer.text
    return problem(answer, status, code)


def good(*change: dict[str, Any], without: str = "") -> list[dict[str, Any]]:
    """The tensors of one good record, some of them replaced by those of the same name."""
    changed = {one["name"]: one for one in change}
    found = [changed.pop(one["name"], one) for one in column_tensors([GOOD])]
    return [one for one in [*found, *changed.values()] if one["name"] != without]


def data(document: Any) -> dict[str, Any]:
    """The outputs' data by name."""
    return {output["name"]: output["data"] for output in document["outputs"]}


@pytest.mark.parametrize("path", [INFER, "/v2/models/toy/versions/7/infer"])
async def test_a_tensor_for_each_field(api: Api, path: str) -> None:
    """Answered with a tensor for each output, with the bits that `/predict` gives."""
    rows = records(20)
    document = await infer(api, column_tensors(rows), path, id="42")
    assert {k: document[k] for k in ("model_name", "model_version", "id")} == {
        "model_name": "toy",
        "model_version": "7",
        "id": "42",
    }
    assert {o["name"]: o["datatype"] for o in document["outputs"]} == OUTPUTS
    assert all(output["shape"] == [20] for output in document["outputs"])
    expected = (await api.client.post("/predict", json=rows)).json()["predictions"]
    found = data(document)
    for name in OUTPUTS:
        assert json.dumps(found[name]) == json.dumps([p[name] for p in expected])


async def test_one_tensor_for_all_fields(api: Api) -> None:
    """Text, flat or nested, of which the schema reads numbers as it does in CSV."""
    rows = records(5)
    expected = data(await infer(api, column_tensors(rows)))
    flat = text_matrix(rows)
    nested = {**flat, "data": [flat["data"][i : i + 4] for i in range(0, 20, 4)]}
    assert data(await infer(api, [flat])) == expected
    assert data(await infer(api, [nested])) == expected


class FirstFieldBackend:
    """Scores each record with its first field, plus 0.25 where the second is null."""

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """Two probabilities."""
        first, second = batch.columns
        yes = first + np.isnan(second) * 0.25
        return {"No": 1 - yes, "Yes": yes}


def two_numbers(toy: ModelBundle) -> ModelBundle:
    """A model of two fields, of which the second is optional, and without a detector."""
    fields = [{"name": f, "type": "double", "required": f == "a"} for f in ("a", "b")]
    manifest = msgspec.structs.replace(toy.manifest, outlier=None)
    model = replace(toy, manifest=manifest, schema=Schema.from_signature(fields), outlier=None)
    return with_backend(model, FirstFieldBackend())


async def test_one_tensor_of_numbers(toy: ModelBundle) -> None:
    """For a model whose fields are all numbers; nulls where they are optional."""
    async with open_api(two_numbers(toy)) as api:
        for values in ([0.5, 2, 0.25, None], [[0.5, 2], [0.25, None]]):
            one = tensor("rows", values, "FP32", 2, 2)
            assert data(await infer(api, [one]))["score"] == [0.5, 0.5]
        one = tensor("rows", [1, 7, 0, 8], "INT8", 2, 2)
        assert data(await infer(api, [one]))["score"] == [1.0, 0.0]
        bad = tensor("rows", [1, 2, None, 4], "INT8", 2, 2)
        (error,) = (await refused(api, 422, "invalid-records", [bad]))["errors"]
    assert (error["field"], error["code"]) == ("records[1].a", "null_value")


async def test_a_column_may_have_two_dimensions(api: Api) -> None:
    """[records, 1], flat or nested."""
    rows = records(3)
    expected = data(await infer(api, column_tensors(rows)))
    for nest in (False, True):
        tensors = [
            {**t, "shape": [3, 1], "data": [[v] for v in t["data"]] if nest else t["data"]}
            for t in column_tensors(rows)
        ]
        assert data(await infer(api, tensors)) == expected


@pytest.mark.parametrize(
    "change",
    [
        tensor("x", [1.5], "FP32"),
        tensor("n", [3.0], "INT64"),
        tensor("n", [3], "INT8"),
        tensor("n", [3], "UINT64"),
        tensor("n", [3], "FP64"),
        tensor("n", [3.0], "FP32"),
    ],
)
async def test_datatypes_of_the_same_value(api: Api, change: dict[str, Any]) -> None:
    """A float field takes integers, an integer field whole floats, of any width."""
    expected = data(await infer(api, column_tensors([GOOD])))
    assert data(await infer(api, good(change))) == expected


async def test_a_tensor_holds_what_its_datatype_holds(api: Api) -> None:
    """0.1 as FP32 is the float next to it, as it would be in bytes."""
    single = await infer(api, good(tensor("x", [0.1], "FP32")))
    exact = await infer(api, good(tensor("x", [0.10000000149011612], "FP64")))
    double = await infer(api, good(tensor("x", [0.1], "FP64")))
    assert data(single)["score"] == data(exact)["score"] != data(double)["score"]


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        (tensor("x", [SECRET], "BYTES"), "x", "wrong_type"),
        (tensor("x", [True], "BOOL"), "x", "wrong_type"),
        (tensor("x", [None], "FP64"), "x", "null_value"),
        (tensor("n", [3.5], "FP64"), "n", "wrong_type"),
        (tensor("n", [2**63], "UINT64"), "n", "out_of_range"),
        (tensor("flag", [1], "INT8"), "flag", "wrong_type"),
        (tensor("name", [1], "INT8"), "name", "wrong_type"),
        (tensor("salary", [SECRET], "BYTES"), "salary", "unknown_field"),
    ],
)
async def test_an_invalid_record_is_named(
    api: Api, change: dict[str, Any], field: str, code: str
) -> None:
    """A tensor that is right in itself and holds what the field does not take."""
    (error,) = (await refused(api, 422, "invalid-records", good(change)))["errors"]
    assert (error["field"], error["code"]) == (f"records[0].{field}", code)


async def test_an_absent_tensor_is_a_missing_field(api: Api) -> None:
    """Of every record."""
    problem_ = await refused(api, 422, "invalid-records", good(without="n"))
    assert [(e["field"], e["code"]) for e in problem_["errors"]] == [
        ("records[0].n", "missing_field")
    ]


async def test_a_number_that_is_not_finite_names_its_field(api: Api) -> None:
    """Python writes such numbers into JSON."""
    body = json.dumps({"inputs": good(tensor("x", [float("inf")], "FP64"))})
    answer = await api.client.post(INFER, content=body, headers=JSON)
    (error,) = problem(answer, 422, "invalid-records")["errors"]
    assert (error["field"], error["code"]) == ("records[0].x", "not_finite")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (tensor("x", [SECRET], "FP64"), "must hold numbers, as its datatype is FP64"),
        (tensor("x", [[1.5]], "FP64"), "must hold numbers"),
        (tensor("x", [1e39], "FP32"), "must hold numbers that fit its datatype FP32"),
        (tensor("x", [10**400], "FP64"), "must hold numbers that fit its datatype FP64"),
        (tensor("n", [300], "INT8"), "must hold numbers that fit its datatype INT8"),
        (tensor("n", [-1], "UINT8"), "must hold numbers that fit its datatype UINT8"),
        (tensor("n", [2**64], "UINT64"), "must hold numbers that fit its datatype UINT64"),
        (tensor("n", [3.5], "INT64"), "must hold integers, as its datatype is INT64"),
        (tensor("n", [True], "INT64"), "must hold numbers"),
        (tensor("flag", [1], "BOOL"), "must hold booleans, as its datatype is BOOL"),
        (tensor("name", [1], "BYTES"), "must hold strings, as its datatype is BYTES"),
        (tensor("x", [1.5], "FP16"), "must have one of the datatypes BOOL, UINT8,"),
        (tensor("x", [1.5], "fp64"), "must have one of the datatypes BOOL, UINT8,"),
        (tensor("x", [1.5, 2.5], "FP64", 1), "must have as many elements as its shape says"),
        (tensor("x", [], "FP64", 1), "must have as many elements as its shape says"),
        (tensor("x", [1.5, [2]], "FP64", 1, 1), "must be nested as its shape says, or flat"),
        (tensor("x", [[1.5, 2]], "FP64", 1, 1), "must be nested as its shape says, or flat"),
        (tensor("x", [1, 2], "FP64", 1, 2), "must have the shape [records], [records, 1]"),
        (tensor("x", [1], "FP64", 1, 1, 1), "must have the shape [records], [records, 1]"),
        ({**tensor("x", [1], "FP64"), "shape": []}, "must have the shape [records]"),
        (tensor("x", [1], "FP64", -1), "must have the shape [records]"),
        ({**tensor("x", [1], "FP64"), "data": {"0": SECRET}}, "must have an array as data"),
        ({**tensor("x", [1], "FP64"), "data": SECRET}, "must have an array as data"),
        ({**tensor("x", [1], "FP64"), "data": None}, "must have an array as data"),
    ],
)
async def test_a_tensor_that_is_wrong_in_itself_is_named(
    api: Api, change: dict[str, Any], rule: str
) -> None:
    """400 with the place of the input, its name and the rule."""
    place = [one["name"] for one in good(change)].index(change["name"])
    detail = (await refused(api, 400, "malformed-request", good(change)))["detail"]
    assert detail.startswith(f"inputs[{place}] '{change['name']}' {rule}")


async def test_a_long_name_is_cut(api: Api) -> None:
    """After 64 characters, as it is the caller's own text."""
    odd = tensor("y" * 100, ["a"], "FP64")
    assert f"'{'y' * 64}'" in (await refused(api, 400, "malformed-request", [odd]))["detail"]


@pytest.mark.parametrize(
    ("tensors", "detail"),
    [
        ([], "at least one tensor"),
        (good(tensor("x", [1.5, 2.5], "FP64")), "as many records as the first"),
        (good() + good(), "not name a tensor twice"),
        ([tensor("rows", ["a"] * 3, "BYTES", 1, 3)], "must have the shape [records, 4] or the"),
        ([tensor("rows", ["a"], "BYTES", 1, 1)], "must have the shape [records, 4] or the"),
        ([{"name": "x", "shape": [1], "datatype": "FP64"}], "either data or binary_data_size"),
        ([{**good()[0], "parameters": {"binary_data_size": 8}}], "either data or binary_data_size"),
        ([{**good()[0], "value": SECRET}], "inputs[0] has an unknown member 'value'"),
        ([{"name": "x", "shape": [1], "data": [1.5]}], "missing required field `datatype`"),
        ([{**good()[0], "name": 5}], "Expected `str`, got `int` - at `$.inputs[0].name`"),
        ([{**good()[0], "shape": ["1"]}], "Expected `int`, got `str`"),
        ([SECRET], "Expected `object`, got `str`"),
        (SECRET, "Expected `array`, got `str`"),
        (None, "Expected `array`, got `null`"),
    ],
)
async def test_inputs_that_are_none_are_malformed(api: Api, tensors: Any, detail: str) -> None:
    """400 with the rule; nothing is logged."""
    assert detail in (await refused(api, 400, "malformed-request", tensors))["detail"]
    assert api.log.batches == []


@pytest.mark.parametrize(
    ("members", "code", "detail"),
    [
        ({"id": 42}, "malformed-request", "Expected `str | null`, got `int` - at `$.id`"),
        ({"output": []}, "malformed-request", "the body has an unknown member 'output'"),
        ({"parameters": []}, "malformed-request", "got `array` - at `$.parameters`"),
        ({"parameters": {"sequence_id": SECRET}}, "invalid-parameter", "'sequence_id'"),
        ({"parameters": {"binary_data_output": 1}}, "invalid-parameter", "must be a boolean"),
        ({"parameters": {"reasons": "2"}}, "invalid-parameter", "'reasons' must be given once"),
        ({"outputs": [{"name": "scores"}]}, "malformed-request", "'scores' must be one of score,"),
        ({"outputs": [{"name": "reasons"}]}, "malformed-request", "must be one of score,"),
        ({"outputs": [{"name": "label"}] * 2}, "malformed-request", "outputs[1] must not be named"),
        ({"outputs": [{"name": "label", "data": 1}]}, "malformed-request", "unknown member 'data'"),
        ({"outputs": [{"name": 1}]}, "malformed-request", "at `$.outputs[0].name`"),
        (
            {"outputs": [{"name": "label", "parameters": {"classification": 3}}]},
            "invalid-parameter",
            "outputs[0] has no parameter 'classification'",
        ),
        (
            {"outputs": [{"name": "label", "parameters": {"binary_data": None}}]},
            "invalid-parameter",
            "must be a boolean",
        ),
    ],
)
async def test_other_members_are_refused(
    api: Api, members: dict[str, Any], code: str, detail: str
) -> None:
    """What would have no effect is an error."""
    assert detail in (await refused(api, 400, code, good(), **members))["detail"]


async def test_what_clients_send_besides_is_not_read(api: Api) -> None:
    """Nulls for what is optional, what the path has, hints that the signature makes needless."""
    tensors = [{**one, "parameters": {"content_type": "np"}} for one in good()]
    empty: dict[str, Any] = {"id": None, "outputs": None, "parameters": {"content_type": "pd"}}
    document = await infer(api, tensors, model_name="toy", model_version="7", **empty)
    assert "id" not in document
    assert list(data(document)) == list(OUTPUTS)
    await infer(api, good(), parameters=None, outputs=[])


async def test_outputs_are_selected_and_ordered(api: Api) -> None:
    """As the request names them."""
    wanted = [{"name": "outlier"}, {"name": "score", "parameters": {"binary_data": False}}]
    assert list(data(await infer(api, good(), outputs=wanted))) == ["outlier", "score"]


async def test_the_input_record_id_names_the_records(api: Api) -> None:
    """As text or as integers, beside columns and beside one tensor; without it ids are made up."""
    rows = records(2)
    for layout in (column_tensors(rows), [text_matrix(rows)]):
        await infer(api, [*layout, tensor("record_id", ["a", "b"], "BYTES")])
        await infer(api, [tensor("record_id", [7, 8], "INT64", 2, 1), *layout])
        await infer(api, layout)
    found = [batch.scored.batch.record_ids for batch in api.log.batches]
    assert found[0] == found[3] == ("a", "b")
    assert found[1] == found[4] == ("7", "8")
    for ids in (found[2], found[5]):
        assert [one.rpartition("-")[2] for one in ids] == ["0", "1"]
    bad = tensor("record_id", [1.5], "FP64")
    (error,) = (await refused(api, 422, "invalid-records", [*good(), bad]))["errors"]
    assert (error["field"], error["code"]) == ("records[0].record_id", "invalid_record_id")


async def test_reasons_are_an_output_of_json_texts(toy: ModelBundle) -> None:
    """There when a parameter asks for them."""
    rows = records(3)
    async with open_api(explained(toy)) as api:
        document = await infer(api, column_tensors(rows), parameters={"reasons": 2})
        only = await infer(
            api, column_tensors(rows), f"{INFER}?reasons=2", outputs=[{"name": "reasons"}]
        )
    assert document["outputs"][-1]["datatype"] == "BYTES"
    texts = data(document)["reasons"]
    assert [json.loads(text) for text in texts] == [expected_reasons(row, 2) for row in rows]
    assert data(only) == {"reasons": texts}


async def test_a_model_without_reasons_refuses_them(api: Api) -> None:
    """With its own words why."""
    await refused(api, 422, "reasons-unavailable", good(), parameters={"reasons": 1})


async def test_optional_fields_may_be_null_or_absent(toy: ModelBundle) -> None:
    """What the metadata calls optional."""
    async with open_api(two_numbers(toy)) as api:
        inputs = (await api.client.get("/v2/models/toy")).json()["inputs"]
        assert [one["name"] for one in inputs if one.get("optional")] == ["b"]
        a = tensor("a", [0.5], "FP64")
        for tensors in ([a], [a, tensor("b", [None], "FP64")]):
            assert data(await infer(api, tensors))["score"] == [0.75]


async def test_the_number_of_records_has_limits(toy: ModelBundle) -> None:
    """By the shape, before anything is converted."""
    async with open_api(toy, Limits(max_records=3)) as api:
        for count, status, code in ((0, 422, "no-records"), (10**12, 413, "too-many-records")):
            one = tensor("x", [], "FP64", count)
            await refused(api, status, code, [one])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/json"}, 200),
        ({"content-type": "application/vnd.x+json"}, 200),
        ({}, 200),
        ({"content-type": "application/octet-stream"}, 415),
        ({"content-type": "text/csv"}, 415),
        ({"content-encoding": "gzip"}, 415),
    ],
)
async def test_other_kinds_of_body_are_refused(
    api: Api, headers: dict[str, str], status: int
) -> None:
    """JSON is assumed when nothing is said."""
    body = json.dumps({"inputs": good()}).encode()
    answer = await api.client.post(INFER, content=body, headers=headers)
    assert answer.status_code == status
    if status != 200:
        problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize("tail", ["", "/ready"])
async def test_models_are_found_by_name_and_version(api: Api, tail: str) -> None:
    """Another name or version is 404."""
    for path in ("toy", "toy/versions/7"):
        answer = await api.client.get(f"/v2/models/{path}{tail}")
        assert (answer.status_code, answer.json()["name"]) == (200, "toy")
    for path in ("other", "toy/versions/8"):
        problem(await api.client.get(f"/v2/models/{path}{tail}"), 404, "unknown-model")
        answer = await api.client.post(f"/v2/models/{path}/infer", json={"inputs": good()})
        problem(answer, 404, "unknown-model")


async def test_a_model_describes_its_tensors(api: Api) -> None:
    """Names and datatypes in the signature's order; any number of records."""
    document = (await api.client.get("/v2/models/toy")).json()
    assert document["versions"] == ["7"]
    assert document["platform"] == "mlflow_onnx"
    inputs = {one["name"]: one["datatype"] for one in document["inputs"]}
    assert inputs == {"x": "FP64", "n": "INT64", "flag": "BOOL", "name": "BYTES"}
    assert {one["name"]: one["datatype"] for one in document["outputs"]} == OUTPUTS
    assert {tuple(one["shape"]) for one in document["inputs"] + document["outputs"]} == {(-1,)}


async def test_a_challenger_answers_by_its_name(toy: ModelBundle) -> None:
    """Every served model has its routes."""
    other = replace(toy, manifest=msgspec.structs.replace(toy.manifest, name="other"))
    async with open_api(toy, challengers=[other]) as api:
        document = await infer(api, good(), "/v2/models/other/infer")
    assert document["model_name"] == "other"


async def test_the_server_describes_itself(api: Api) -> None:
    """Its version is that of the package."""
    document = (await api.client.get("/v2")).json()
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert package["version"] == SERVER_VERSION
    assert document == {
        "name": package["name"],
        "version": package["version"],
        "extensions": ["binary_tensor_data"],
    }


async def test_health(api: Api) -> None:
    """Live always, ready while requests may be sent here."""
    assert (await api.client.get("/v2/health/live")).json() == {"live": True}
    assert (await api.client.get("/v2/health/ready")).json() == {"ready": True}
    api.readiness.drain()
    assert (await api.client.get("/v2/health/live")).status_code == 200
    for path in ("/v2/health/ready", "/v2/models/toy/ready"):
        problem(await api.client.get(path), 503, "not-ready")


def test_errors_under_v2_have_the_member_that_clients_read() -> None:
    """In one line: the detail, and the first rule if records broke any."""
    violation = Violation("x", RejectionCode.WRONG_TYPE, "must be a number")
    rejection = Rejection(3, "r", (violation,))
    invalid = ProblemError(INVALID_RECORDS, "1 of 4 records were rejected", [rejection])
    for error, words in (
        (invalid, "1 of 4 records were rejected: records[3].x must be a number"),
        (ProblemError(MALFORMED, "the body is not UTF-8"), "the body is not UTF-8"),
    ):
        body = json.loads(bytes(problem_response(error, "r", "/v2/models/{name}/infer").body))
        assert body["error"] == words
        assert body["detail"] == error.detail
        assert "error" not in json.loads(bytes(problem_response(error, "r", "/predict").body))


async def test_an_error_of_a_route_under_v2_has_it(api: Api) -> None:
    """Whatever the route and the error."""
    answers = [
        await api.client.post(INFER, json={"inputs": good(tensor("x", [None], "FP64"))}),
        await api.client.get("/v2/models/other"),
        await api.client.post(INFER, content=b"{"),
    ]
    assert all(answer.json()["error"] for answer in answers)


async def test_what_is_no_error_of_the_caller_is_a_problem_too(toy: ModelBundle) -> None:
    """A spool that cannot be written to is 503, as in `/predict`."""
    async with open_api(toy, log=MemoryLog(StorageUnavailable(SECRET))) as api:
        answer = await api.client.post(INFER, json={"inputs": good()})
        problem(answer, 503, "unavailable")
        assert SECRET not in answer.text
