"""The schema as read from an MLflow signature."""

from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import pytest

from scoring.errors import BundleError
from scoring.schema import DTYPES, Feature, FieldType, Schema
from scoring.validation import validate_rows
from scoring.values import check_values


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], "no input columns"),
        ([{"type": "double", "required": True}], "column 1 of the signature has no name"),
        ([{"type": "double", "name": 0, "required": True}], "a name that is no string"),
        ([{"type": "double", "name": "", "required": True}], "an empty name"),
        ([{"name": "a", "type": "long"}, {"name": "a", "type": "long"}], "twice"),
        ([{"name": "a", "type": "unheard of"}], "the type unheard of, and trilane takes boolean"),
        ([{"name": "a", "type": {"array": "double"}}], "log the model with a DataFrame"),
    ],
)
def test_a_signature_that_cannot_be_served_says_what_to_change(
    inputs: list[dict[str, Any]], words: str
) -> None:
    """Columns without a usable name or of no known type are refused in a sentence."""
    with pytest.raises(BundleError, match=words):
        Schema.from_signature(inputs)


def mlflow_columns(kind: str) -> list[dict[str, Any]]:
    """What MLflow writes for an input of a kind that is no scalar column."""
    from mlflow.types import ColSpec, TensorSpec
    from mlflow.types import Schema as Columns
    from mlflow.types.schema import AnyType, Array, DataType, Map, Object, Property, SparkMLVector

    tensor = TensorSpec(np.dtype(np.float64), (-1, 3))
    columns: dict[str, Any] = {
        "tensor": tensor,
        "named tensor": TensorSpec(np.dtype(np.float64), (-1, 3), "a"),
        "array": ColSpec(Array(DataType.double), "a"),
        "object": ColSpec(Object([Property("b", DataType.long)]), "a"),
        "map": ColSpec(Map(DataType.string), "a"),
        "sparkml_vector": ColSpec(SparkMLVector(), "a"),
        "any": ColSpec(AnyType(), "a"),
        "nameless any": ColSpec(AnyType()),
        "binary": ColSpec(DataType.binary, "a"),
    }
    rows: list[dict[str, Any]] = Columns([columns[kind]]).to_dict()
    return rows


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("tensor", "column 1 .* type tensor, .*: log the model with a DataFrame"),
        ("named tensor", "column 'a' .* type tensor, .*: log the model with a DataFrame"),
        ("array", "type array, .*: give each element a column"),
        ("object", "type object, .*: give each element a column"),
        ("map", "type map, .*: give each element a column"),
        ("sparkml_vector", "type sparkml_vector, .*: log the whole Spark pipeline"),
        ("any", "column 'a' .* type any, .*: MLflow could not infer"),
        ("nameless any", "column 1 .* type any, .*: MLflow could not infer"),
        ("binary", "type binary, .*: send text"),
    ],
)
def test_every_input_of_mlflow_that_is_no_scalar_is_refused_with_advice(
    kind: str, words: str
) -> None:
    """One sentence each, from what MLflow itself writes into a signature."""
    with pytest.raises(BundleError, match=words):
        Schema.from_signature(mlflow_columns(kind))


EXAMPLES: dict[FieldType, Any] = {
    FieldType.BOOLEAN: True,
    FieldType.INTEGER: -3,
    FieldType.LONG: 2**31 - 1,
    FieldType.FLOAT: 0.5,
    FieldType.DOUBLE: 3,
    FieldType.STRING: "",
    FieldType.DATETIME: "2026-03-02T10:00:00.123456+01:00",
}


@pytest.mark.parametrize("kind", FieldType)
@pytest.mark.parametrize("required", [True, False])
def test_the_json_schema_takes_what_validation_takes(kind: FieldType, required: bool) -> None:
    """The example is valid, nulls are where they are allowed, other types are not."""
    column = {"name": "a", "type": str(kind), "required": required}
    schema = Schema.from_signature([column], example={"a": EXAMPLES[kind]})
    document = schema.json_schema()
    checks = jsonschema.Draft202012Validator(document)
    rows = [document["example"], {"a": None}, {}, {"a": [1]}, {"a": {}}, {"b": 1}]
    rows += [{"a": value} for value in EXAMPLES.values() if not isinstance(value, str)]
    for row in rows:
        accepted = not validate_rows(schema, [row], ["r"]).rejections
        assert checks.is_valid(row) == accepted


def test_every_table_covers_every_type() -> None:
    """The dtypes, and through them the rules, are there for each of MLflow's scalar types."""
    assert list(DTYPES) == list(FieldType)
    for kind in FieldType:
        for required in (True, False):
            feature = Feature("a", kind, required)
            column, found = check_values(feature, [EXAMPLES[kind], None])
            assert column.dtype == feature.dtype
            assert [position for position, _ in found] == [1] * required


def test_a_feature_is_never_ignored() -> None:
    """A field that the model uses stays a feature even if the configuration ignores it."""
    schema = Schema.from_signature([{"name": "a", "type": "long"}], ignored=["a", "b"])
    assert schema.ignored == {"b"}


def test_the_json_schema_has_types_requirements_and_the_example() -> None:
    """What OpenAPI shows: optional columns are nullable, unknown fields are not allowed."""
    schema = Schema.from_signature(
        [{"name": "a", "type": "long"}, {"name": "b", "type": "string", "required": False}],
        ignored=["c"],
        example={"a": 1},
    )
    document = schema.json_schema()
    assert document["required"] == ["a"]
    assert document["properties"]["a"] == {"type": "integer", "format": "int64"}
    assert document["properties"]["b"] == {"type": ["string", "null"]}
    assert set(document["properties"]) == {"a", "b", "c"}
    assert document["additionalProperties"] is False
    assert document["example"] == {"a": 1}
