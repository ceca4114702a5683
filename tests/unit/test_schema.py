"""The schema as read from an MLflow signature."""

from typing import Any

import pytest

from scoring.errors import BundleError
from scoring.schema import Schema


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], "no input columns"),
        ([{"type": "double"}], "column 1 of the signature has no name"),
        ([{"type": "tensor", "tensor-spec": {}}], "has no name"),
        ([{"name": "a", "type": {"array": "double"}}], "'a' of the signature has a type"),
        ([{"name": "a", "type": "binary"}], "flatten"),
        ([{"name": "a", "type": "long"}, {"name": "a", "type": "long"}], "twice"),
    ],
)
def test_a_signature_that_cannot_be_served_says_what_to_change(
    inputs: list[dict[str, Any]], words: str
) -> None:
    """Tensors, arrays, nameless and double columns are refused in a sentence."""
    with pytest.raises(BundleError, match=words):
        Schema.from_signature(inputs)


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
