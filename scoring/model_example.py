"""A model's own example record, for the documents of the lanes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scoring.records import RecordBatch
from scoring.schema import Schema
from scoring.validation import validate_rows


@dataclass(frozen=True, slots=True)
class ModelExample:
    """The record, its fields in the order of the signature; and the same as a batch of one."""

    record: Mapping[str, Any]
    batch: RecordBatch


def model_example(schema: Schema, record_id: str) -> ModelExample | None:
    """The bundle's example; None when it has none, or one that its own schema refuses."""
    record = schema.example
    if not record:
        return None
    valid = validate_rows(schema, [record], [record_id])
    if valid.rejections:
        return None
    return ModelExample(ordered(schema, record), valid.batch)


def ordered(schema: Schema, example: Mapping[str, Any]) -> dict[str, Any]:
    """A record with its fields in the order of the signature; ignored ones are last."""
    names = [name for name in schema.names if name in example]
    return {name: example[name] for name in [*names, *sorted(example.keys() - set(names))]}
