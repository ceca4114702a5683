"""The same records in every form of MLflow's protocol: one verdict, the same bits as `/predict`."""

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from online_api.context import Limits
from online_api.protocols.csv_body import read_csv_body
from online_api.protocols.mlflow_body import read_mlflow_body
from online_api.protocols.predict_body import PredictBody
from scoring.records import Validated
from scoring.schema import FieldType, Schema
from tests.support.protocols import as_csv, mlflow_forms
from tests.unit.test_forms_agree import VALID, csv_carries, records, schemas, verdict

LIMITS = Limits()


def predicted(schema: Schema, rows: list[Any]) -> Validated:
    """What `/predict` makes of the records."""
    return PredictBody(schema, LIMITS).read(json.dumps(rows).encode(), "r").valid


def invoked(schema: Schema, body: Mapping[str, Any]) -> Validated:
    """What `/invocations` makes of a body."""
    table, _ = read_mlflow_body(json.dumps(body).encode(), schema, LIMITS)
    return table.validated(schema, "r")


def same(found: Validated, expected: Validated) -> bool:
    """Accepted with the same bits under the same ids, or rejected with the same words."""
    return (
        found.rejections == expected.rejections
        and found.batch.record_ids == expected.batch.record_ids
        and found.positions.tolist() == expected.positions.tolist()
        and [bits(c) for c in found.batch.columns] == [bits(c) for c in expected.batch.columns]
    )


def bits(column: Any) -> tuple[str, Any]:
    """Whatever counts of a column."""
    return str(column.dtype), column.tolist() if column.dtype == object else column.tobytes()


@st.composite
def good_rows(draw: st.DrawFn, schema: Schema) -> list[dict[str, Any]]:
    """Records with every field, of which most are valid, with a null here and there."""
    values = [st.one_of(*[VALID[f.type]] * 4, st.none()) for f in schema.features]
    row = st.tuples(*values).map(lambda row: dict(zip(schema.names, row, strict=True)))
    return draw(st.lists(row, min_size=1, max_size=5))


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_one_record_of_any_kind(data: st.DataObject) -> None:
    """Valid or not, with fields absent and unknown ones there."""
    schema = data.draw(schemas())
    record = data.draw(records(schema))
    expected = verdict(predicted(schema, [record]))
    forms = mlflow_forms([record])
    if list(record) != list(schema.names):
        forms = {name: body for name, body in forms.items() if "arrays" not in name}
    for name, body in forms.items():
        assert verdict(invoked(schema, body)) == expected, name
    has_header = not record.keys().isdisjoint(schema.names)
    if has_header and csv_carries(schema, record):
        table = read_csv_body(as_csv([record]), LIMITS)
        assert verdict(table.validated(schema, "r")) == expected


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_several_records(data: st.DataObject) -> None:
    """Where one is rejected the others are still what they would be alone."""
    schema = data.draw(schemas())
    rows = data.draw(good_rows(schema))
    expected = predicted(schema, rows)
    for name, body in mlflow_forms(rows).items():
        assert same(invoked(schema, body), expected), name
    if all(csv_carries(schema, row) for row in rows):
        table = read_csv_body(as_csv(rows, index=True), LIMITS)
        assert same(table.validated(schema, "r"), expected)


def test_the_forms_differ_where_they_should() -> None:
    """The comparison of these tests tells bits, words and ids apart."""
    schema = Schema.from_signature([{"name": "a", "type": str(FieldType.DOUBLE)}])
    zero = predicted(schema, [{"a": 0.0}])
    assert same(zero, invoked(schema, {"inputs": {"a": [0.0]}}))
    assert not same(zero, invoked(schema, {"inputs": {"a": [-0.0]}}))
    assert not same(zero, invoked(schema, {"inputs": {"a": [0.0], "record_id": ["s"]}}))
    assert not same(zero, invoked(schema, {"inputs": {"a": [None]}}))
