"""The one schema: what a model takes, read from its MLflow signature.

Type names and the `required` flag are those of MLflow's column specification (mlflow.types.Schema).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np

from scoring.errors import BundleError


class FieldType(StrEnum):
    """MLflow's column types that a record can carry."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    LONG = "long"
    FLOAT = "float"
    DOUBLE = "double"
    STRING = "string"
    DATETIME = "datetime"


DTYPES: Mapping[FieldType, np.dtype[Any]] = {
    FieldType.BOOLEAN: np.dtype(np.bool_),
    FieldType.INTEGER: np.dtype(np.int32),
    FieldType.LONG: np.dtype(np.int64),
    FieldType.FLOAT: np.dtype(np.float32),
    FieldType.DOUBLE: np.dtype(np.float64),
    FieldType.STRING: np.dtype(object),
    FieldType.DATETIME: np.dtype("datetime64[ns]"),
}

_JSON_TYPES: Mapping[FieldType, dict[str, Any]] = {
    FieldType.BOOLEAN: {"type": "boolean"},
    FieldType.INTEGER: {"type": "integer", "format": "int32"},
    FieldType.LONG: {"type": "integer", "format": "int64"},
    FieldType.FLOAT: {"type": "number", "format": "float"},
    FieldType.DOUBLE: {"type": "number", "format": "double"},
    FieldType.STRING: {"type": "string"},
    FieldType.DATETIME: {"type": "string", "format": "date-time"},
}


@dataclass(frozen=True, slots=True)
class Feature:
    """One input column of the model."""

    name: str
    type: FieldType
    required: bool = True

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of this feature's column in a batch.

        An optional column that holds a null is an object array with None in its place, except for
        float and double, where NaN stands for it.
        """
        return DTYPES[self.type]

    @property
    def is_numeric(self) -> bool:
        """Whether the column can stand in a matrix of floats."""
        return self.type not in (FieldType.STRING, FieldType.DATETIME)


@dataclass(frozen=True)
class Schema:
    """A model's input columns in order, and the fields callers may send that it does not use."""

    features: tuple[Feature, ...]
    ignored: frozenset[str] = frozenset()
    example: Mapping[str, Any] | None = None

    @classmethod
    def from_signature(
        cls,
        inputs: Sequence[Mapping[str, Any]],
        ignored: Sequence[str] = (),
        example: Mapping[str, Any] | None = None,
    ) -> "Schema":
        """Read MLflow's column list (`[{"name": ..., "type": ..., "required": ...}, ...]`).

        Raises BundleError naming the column when it is no named scalar column.
        """
        features = tuple(_feature(position, column) for position, column in enumerate(inputs))
        if not features:
            raise BundleError("the model's signature has no input columns; log it with a signature")
        names = [f.name for f in features]
        if len(set(names)) != len(names):
            raise BundleError("the model's signature names an input column twice")
        return cls(features, frozenset(ignored) - frozenset(names), example)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Feature names in the model's order."""
        return tuple(f.name for f in self.features)

    @cached_property
    def known(self) -> frozenset[str]:
        """Every field a record may carry."""
        return frozenset(self.names) | self.ignored

    def index(self, name: str) -> int:
        """The position of a feature; KeyError when the model has none of that name."""
        try:
            return self.names.index(name)
        except ValueError:
            raise KeyError(name) from None

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of one record, for OpenAPI and AsyncAPI documents."""
        properties: dict[str, Any] = {f.name: _json_type(f) for f in self.features}
        for name in sorted(self.ignored):
            properties[name] = {"description": "Accepted and not used by the model."}
        schema: dict[str, Any] = {
            "type": "object",
            "required": [f.name for f in self.features if f.required],
            "properties": properties,
            "additionalProperties": False,
        }
        if self.example is not None:
            schema["example"] = dict(self.example)
        return schema


def _feature(position: int, column: Mapping[str, Any]) -> Feature:
    name = column.get("name")
    if not isinstance(name, str) or not name:
        raise BundleError(
            f"input column {position + 1} of the signature has no name; trilane needs named "
            "columns: log the model with a DataFrame example or a column signature"
        )
    try:
        kind = FieldType(column.get("type", ""))
    except ValueError:
        raise BundleError(
            f"input column '{name}' of the signature has a type that is no scalar; trilane takes "
            f"{', '.join(FieldType)}: flatten arrays and objects into columns before logging"
        ) from None
    return Feature(name, kind, bool(column.get("required", True)))


def _json_type(feature: Feature) -> dict[str, Any]:
    schema = dict(_JSON_TYPES[feature.type])
    if not feature.required:
        schema["type"] = [schema["type"], "null"]
    return schema
