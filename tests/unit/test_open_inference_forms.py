"""The same records as tensors of every layout: one verdict, the same bits as `/predict`."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from online_api.context import Limits
from online_api.protocols.open_inference_inputs import read_inputs
from online_api.protocols.open_inference_request import read_infer_body
from scoring.model import ModelBundle
from scoring.records import Validated
from scoring.schema import FieldType, Schema
from tests.support.online import GOOD, JSON, open_api
from tests.support.protocols import (
    CSV,
    Tensor,
    as_binary,
    as_csv,
    column_tensors,
    mlflow_forms,
    natural,
    tensor,
    text_matrix,
)
from tests.support.toy import load_toy
from tests.unit.test_forms_agree import TEXTS, csv_carries, records, schemas, verdict
from tests.unit.test_mlflow_protocol_forms import good_rows, predicted, same

LIMITS = Limits()
DATATYPES: Mapping[FieldType, str] = {
    FieldType.BOOLEAN: "BOOL",
    FieldType.INTEGER: "INT32",
    FieldType.LONG: "INT64",
    FieldType.FLOAT: "FP32",
    FieldType.DOUBLE: "FP64",
    FieldType.STRING: "BYTES",
    FieldType.DATETIME: "BYTES",
}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


def inferred(schema: Schema, tensors: Sequence[Tensor], binary: bool = False) -> Validated:
    """What the protocol makes of tensors."""
    body, length = json.dumps({"inputs": tensors}).encode(), None
    if binary:
        body, headers = as_binary(tensors)
        length = headers["inference-header-content-length"]
    table = read_inputs(read_infer_body(body, length), schema, LIMITS)
    return table.validated(schema, "r")


def layouts(schema: Schema, rows: list[dict[str, Any]]) -> list[list[Tensor]]:
    """The tensors that carry records with every field and no other."""
    columns = {f: [row[f.name] for row in rows] for f in schema.features}
    found = [[tensor(f.name, values, DATATYPES[f.type]) for f, values in columns.items()]]
    if all(csv_carries(schema, row) for row in rows):
        found.append([text_matrix(rows, "all fields")])
    kinds = {DATATYPES[feature.type] for feature in schema.features}
    if len(kinds) == 1 and "BYTES" not in kinds:
        flat = [value for row in rows for value in row.values()]
        shape = (len(rows), len(schema.names))
        found.append([tensor("all fields", flat, kinds.pop(), *shape)])
    return found


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_one_record_of_any_kind(data: st.DataObject) -> None:
    """Each value in a tensor of its own kind, whatever kind the field is of."""
    schema = data.draw(schemas())
    record = data.draw(records(schema))
    if not record or any(natural([value]) is None for value in record.values()):
        return  # no datatype holds it
    expected = verdict(predicted(schema, [record]))
    tensors = column_tensors([record])
    assert verdict(inferred(schema, tensors)) == expected
    if None not in record.values():
        assert verdict(inferred(schema, tensors, binary=True)) == expected


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_several_records(data: st.DataObject) -> None:
    """A tensor for each field, of the datatype that the metadata names, and one for all."""
    schema = data.draw(schemas())
    rows = data.draw(good_rows(schema))
    expected = predicted(schema, rows)
    for tensors in layouts(schema, rows):
        assert same(inferred(schema, tensors), expected)
        if not any(None in one["data"] for one in tensors):
            assert same(inferred(schema, tensors, binary=True), expected)


TOY_ROW = st.tuples(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    TEXTS.filter(lambda text: text != ""),  # empty text is a null in CSV
).map(lambda row: dict(zip(GOOD, row, strict=True)))


@settings(deadline=None, max_examples=40)
@given(rows=st.lists(TOY_ROW, min_size=1, max_size=6))
def test_every_protocol_gives_the_same_score(toy: ModelBundle, rows: list[dict[str, Any]]) -> None:
    """Through the whole path, to the last bit."""
    asyncio.run(check_scores(toy, rows))


async def check_scores(toy: ModelBundle, rows: list[dict[str, Any]]) -> None:
    """Ask every route for the scores of the same records."""
    async with open_api(toy) as api:
        answer = await api.client.post("/predict", json=rows)
        assert answer.status_code == 200
        expected = [
            {name: value for name, value in one.items() if name != "record_id"}
            for one in answer.json()["predictions"]
        ]
        bodies = [(json.dumps(form).encode(), JSON) for form in mlflow_forms(rows).values()]
        for body, headers in [*bodies, (as_csv(rows), CSV)]:
            answer = await api.client.post("/invocations", content=body, headers=headers)
            assert json.dumps(answer.json()["predictions"]) == json.dumps(expected)
        for tensors in (column_tensors(rows), [text_matrix(rows)]):
            for body, headers in (
                (json.dumps({"inputs": tensors}).encode(), JSON),
                as_binary(tensors),
            ):
                answer = await api.client.post(
                    "/v2/models/toy/infer", content=body, headers=headers
                )
                columns = {o["name"]: o["data"] for o in answer.json()["outputs"]}
                found = [
                    dict(zip(columns, row, strict=True))
                    for row in zip(*columns.values(), strict=True)
                ]
                assert json.dumps(found) == json.dumps(expected)
