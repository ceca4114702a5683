"""MLflow's scoring protocol in this process: forms, answers, and every way to be refused."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from importlib import metadata
from typing import Any

import msgspec
import pytest

from online_api.protocols.mlflow_protocol import MLFLOW_VERSION
from scoring.manifest import OutputColumn, OutputSpec
from scoring.model import ModelBundle
from scoring.records import RejectionCode
from scoring.schema import Schema
from tests.support.online import GOOD, JSON, SECRET, Api, open_api, problem
from tests.support.protocols import CSV, as_csv, mlflow_forms
from tests.support.reasons import expected_reasons, explained
from tests.support.toy import load_toy, records

NAMES = list(GOOD)
OUTPUTS = ("score", "label", "outlier", "outlier_score")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.fixture
async def api(toy: ModelBundle) -> AsyncIterator[Api]:
    """The API over the toy model."""
    async with open_api(toy) as opened:
        yield opened


async def invoke(api: Api, body: Any) -> Any:
    """The predictions for a JSON body."""
    answer = await api.client.post("/invocations", json=body)
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["predictions"]
    return answer.json()["predictions"]


async def outputs(api: Api, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What `/predict` says of the rows, without their ids."""
    answer = await api.client.post("/predict", json=rows)
    predictions: list[dict[str, Any]] = answer.json()["predictions"]
    return [{name: p[name] for name in OUTPUTS} for p in predictions]


async def test_every_form_is_answered_like_predict(api: Api) -> None:
    """One object per record with the outputs, in order, the same bits in every form."""
    rows = records(20)
    expected = json.dumps(await outputs(api, rows))
    for name, body in mlflow_forms(rows).items():
        assert json.dumps(await invoke(api, body)) == expected, name
    for index in (False, True):
        content = as_csv(rows, index)
        answer = await api.client.post("/invocations", content=content, headers=CSV)
        assert json.dumps(answer.json()["predictions"]) == expected


async def test_one_record_as_an_object_of_values(api: Api) -> None:
    """`inputs` without arrays is one record."""
    assert await invoke(api, {"inputs": GOOD}) == await outputs(api, [GOOD])


async def test_a_model_of_one_field_takes_bare_values(toy: ModelBundle) -> None:
    """As MLflow does; a null in such a column is a null, and not an array."""
    one = replace(toy, schema=Schema.from_signature([{"name": "x", "type": "double"}]))
    async with open_api(one) as api:
        body = {"instances": [1.0, None]}
        (error,) = problem(
            await api.client.post("/invocations", json=body), 422, "invalid-records"
        )["errors"]
    assert (error["field"], error["code"]) == ("records[1].x", "null_value")


async def test_one_output_alone_is_answered_as_bare_values(toy: ModelBundle) -> None:
    """As MLflow answers for an array; asked for reasons it has to be objects."""
    spec = OutputSpec("columns", ["Yes"], [OutputColumn("prediction", "double")])
    manifest = msgspec.structs.replace(toy.manifest, output=spec, outlier=None)
    model = explained(replace(toy, manifest=manifest, outlier=None))
    rows = records(3)
    async with open_api(model) as api:
        expected = (await api.client.post("/predict", json=rows)).json()["predictions"]
        assert await invoke(api, {"inputs": rows}) == [p["prediction"] for p in expected]
        with_reasons = await invoke(api, {"inputs": rows, "params": {"reasons": 1}})
    assert [sorted(one) for one in with_reasons] == [["prediction", "reasons"]] * 3


async def test_the_field_record_id_names_the_records(api: Api) -> None:
    """In every form, as in `/predict`; it stands in the log, and without it ids are made up."""
    rows = [{**row, "record_id": f"e{i}"} for i, row in enumerate(records(3))]
    forms = mlflow_forms(rows)
    named = [forms[name] for name in ("split", "records", "instances", "inputs")]
    for body in named:
        await invoke(api, body)
    await api.client.post("/invocations", content=as_csv(rows), headers=CSV)
    for batch in api.log.batches:
        assert batch.scored.batch.record_ids == ("e0", "e1", "e2")
    await invoke(api, {"inputs": records(2)})
    first, second = api.log.batches[-1].scored.batch.record_ids
    assert (first.rpartition("-")[2], second.rpartition("-")[2]) == ("0", "1")


@pytest.mark.parametrize("bad", ["", 1.5, None, True, "x" * 257])
async def test_a_record_id_that_is_none_is_refused(api: Api, bad: Any) -> None:
    """With the rule, in rows and in columns."""
    rows = [{**GOOD, "record_id": "fine"}, {**GOOD, "record_id": bad}]
    for body in (mlflow_forms(rows)["records"], mlflow_forms(rows)["inputs"]):
        answer = await api.client.post("/invocations", json=body)
        (error,) = problem(answer, 422, "invalid-records")["errors"]
        assert (error["field"], error["code"]) == ("records[1].record_id", "invalid_record_id")


async def test_reasons_are_a_parameter(toy: ModelBundle) -> None:
    """In the body or in the query, not in both."""
    rows = records(5)
    async with open_api(explained(toy)) as api:
        for path, params in (("/invocations", {"reasons": 2}), ("/invocations?reasons=2", {})):
            answer = await api.client.post(path, json={"inputs": rows, "params": params})
            found = [one["reasons"] for one in answer.json()["predictions"]]
            assert found == [expected_reasons(row, 2) for row in rows]
        answer = await api.client.post(
            "/invocations?reasons=2", json={"inputs": rows, "params": {"reasons": 2}}
        )
        problem(answer, 400, "invalid-parameter")


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"temperature": SECRET}, 400, "invalid-parameter"),
        ({"reasons": SECRET}, 400, "invalid-parameter"),
        ({"reasons": True}, 400, "invalid-parameter"),
        ({"reasons": -1}, 400, "invalid-parameter"),
        ({"reasons": 1.5}, 400, "invalid-parameter"),
        ({"reasons": 1}, 422, "reasons-unavailable"),
        ([], 400, "malformed-request"),
        (SECRET, 400, "malformed-request"),
    ],
)
async def test_other_parameters_are_refused(api: Api, params: Any, status: int, code: str) -> None:
    """What would have no effect, and what is no number of reasons."""
    answer = await api.client.post("/invocations", json={"inputs": [GOOD], "params": params})
    problem(answer, status, code)
    assert SECRET not in answer.text


@pytest.mark.parametrize("params", [None, {}, {"reasons": 0}])
async def test_no_parameters_are_fine(api: Api, params: Any) -> None:
    """Null, none, and no reasons."""
    assert len(await invoke(api, {"inputs": [GOOD], "params": params})) == 1


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ([GOOD], "exactly one of the members dataframe_split, dataframe_records,"),
        (SECRET, "exactly one"),
        ({}, "exactly one"),
        ({"columns": NAMES, "data": []}, "exactly one"),
        ({"inputs": [GOOD], "instances": [GOOD]}, "exactly one"),
        ({"inputs": [GOOD], "signature_name": SECRET}, "unknown member 'signature_name'"),
        ({"inputs": SECRET}, "inputs must be an array or an object"),
        ({"instances": None}, "instances must be an array or an object"),
        ({"inputs": {"x": [1.0], "n": 1}}, "the members of inputs must be arrays of one length"),
        ({"inputs": {"x": [1.0], "n": [1, 2]}}, "the members of inputs must be arrays of one"),
        ({"inputs": [[1.0, 2]]}, "inputs[0] must have 4 values"),
        ({"inputs": [list(GOOD.values()), []]}, "inputs[1] must have 4 values"),
        ({"dataframe_records": GOOD}, "dataframe_records must be an array of records"),
        ({"dataframe_split": [GOOD]}, "dataframe_split must be an object"),
        ({"dataframe_split": {"data": [[1]]}}, "dataframe_split must be an object"),
        ({"dataframe_split": {"columns": ["x"]}}, "dataframe_split must be an object"),
        (
            {"dataframe_split": {"columns": ["x"], "data": [], "dtypes": 1}},
            "dataframe_split has an unknown member 'dtypes'",
        ),
        ({"dataframe_split": {"columns": [1], "data": [[1]]}}, "columns must be an array of names"),
        ({"dataframe_split": {"columns": "x", "data": [[1]]}}, "columns must be an array of names"),
        ({"dataframe_split": {"columns": ["x", "x"], "data": [[1, 2]]}}, "no column twice"),
        (
            {"dataframe_split": {"columns": ["x"], "data": {"x": 1}}},
            "data must be an array of rows",
        ),
        ({"dataframe_split": {"columns": ["x"], "data": [[1], 2]}}, "data[1] must be an array as"),
        (
            {"dataframe_split": {"columns": ["x"], "data": [[1], [1, 2]]}},
            "data[1] must be an array",
        ),
    ],
)
async def test_a_body_of_another_form_is_malformed(api: Api, body: Any, detail: str) -> None:
    """400 with the rule; nothing of it is logged, for no record can be told from another."""
    answer = await api.client.post("/invocations", json=body)
    assert detail in problem(answer, 400, "malformed-request")["detail"]
    assert SECRET not in answer.text
    assert api.log.batches == []


@pytest.mark.parametrize(
    ("record", "field", "code"),
    [
        ({**GOOD, "x": SECRET}, "x", "wrong_type"),
        ({**GOOD, "x": [1.0]}, "x", "wrong_type"),
        ({**GOOD, "n": 3.5}, "n", "wrong_type"),
        ({**GOOD, "n": None}, "n", "null_value"),
        ({**GOOD, "flag": 1}, "flag", "wrong_type"),
        ({**GOOD, "salary": SECRET}, "salary", "unknown_field"),
        ({k: v for k, v in GOOD.items() if k != "n"}, "n", "missing_field"),
    ],
)
async def test_an_invalid_record_is_named(
    api: Api, record: dict[str, Any], field: str, code: str
) -> None:
    """In every form the same error, where MLflow would cast or drop."""
    forms = mlflow_forms([record])
    for name in ("split", "records", "instances", "inputs"):
        answer = await api.client.post("/invocations", json=forms[name])
        (error,) = problem(answer, 422, "invalid-records")["errors"]
        assert (error["field"], error["code"]) == (f"records[0].{field}", code), name
        assert SECRET not in answer.text
    (rejection,) = api.log.batches[-1].rejected
    assert rejection.code is RejectionCode(code)


async def test_records_that_are_none_are_named(api: Api) -> None:
    """In a list of records anything may stand; it is that record's error."""
    body = {"dataframe_records": [GOOD, SECRET, [1]]}
    errors = problem(await api.client.post("/invocations", json=body), 422, "invalid-records")
    found = [(error["field"], error["code"]) for error in errors["errors"]]
    assert found == [("records[1]", "malformed"), ("records[2]", "malformed")]


async def test_a_frame_with_missing_numbers_names_the_cell(api: Api) -> None:
    """As NaN, which pandas writes and JSON does not have."""
    body = json.dumps(mlflow_forms([{**GOOD, "x": float("nan")}])["split"])
    answer = await api.client.post("/invocations", content=body, headers=JSON)
    (error,) = problem(answer, 422, "invalid-records")["errors"]
    assert (error["field"], error["code"]) == ("records[0].x", "not_finite")


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_records": []},
        {"dataframe_split": {"columns": NAMES, "data": []}},
        {"instances": []},
        {"inputs": {"x": [], "n": []}},
    ],
)
async def test_no_records_are_refused(api: Api, body: Any) -> None:
    """In every form."""
    problem(await api.client.post("/invocations", json=body), 422, "no-records")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (None, 200),
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ('Application/JSON;charset="UTF-8"', 200),
        ("application/json;", 200),
        ("application/json; format=pandas-split", 415),
        ("application/json; format=utf-8", 415),
        ("application/json; charset=latin-1", 415),
        ("application/vnd.apache.parquet", 415),
        ("text/plain", 415),
        ("", 415),
    ],
)
async def test_other_kinds_of_body_are_refused(api: Api, kind: str | None, status: int) -> None:
    """With the header that would be right; JSON is assumed when nothing is said."""
    body = json.dumps({"inputs": [GOOD]}).encode()
    headers = {} if kind is None else {"content-type": kind}
    answer = await api.client.post("/invocations", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    if status != 200:
        problem(answer, 415, "unsupported-media-type")


async def test_a_compressed_body_is_refused(api: Api) -> None:
    """It could be of any size."""
    headers = {**JSON, "content-encoding": "gzip"}
    answer = await api.client.post("/invocations", content=b"x", headers=headers)
    problem(answer, 415, "unsupported-media-type")


async def test_health_is_readiness(toy: ModelBundle) -> None:
    """A line feed while requests may be sent here, as MLflow answers; then a problem."""
    async with open_api(toy) as api:
        for path in ("/ping", "/health"):
            answer = await api.client.get(path)
            assert (answer.status_code, answer.text) == (200, "\n")
        api.readiness.drain()
        for path in ("/ping", "/health"):
            problem(await api.client.get(path), 503, "not-ready")


async def test_the_version_is_that_of_the_protocol(api: Api) -> None:
    """The release line of MLflow that the tests' client is of."""
    answer = await api.client.get("/version")
    assert answer.text == MLFLOW_VERSION
    assert answer.text.split(".")[0] == metadata.version("mlflow").split(".")[0]


async def test_challengers_see_the_records_in_shadow(
    toy: ModelBundle, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same records under the same ids."""
    manifest = msgspec.structs.replace(toy.manifest, name="other")
    async with open_api(toy, challengers=[replace(toy, manifest=manifest)], shadow=True) as api:
        await invoke(api, {"inputs": records(3)})
    first, second = api.log.batches
    assert (first.scored.model.name, second.scored.model.name) == ("toy", "other")
    assert first.scored.batch.record_ids == second.scored.batch.record_ids
