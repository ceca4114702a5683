"""The one schema: what a model takes, read from its MLflow signature.

Type names and the `required` flag are those of MLflow's column specification (mlflow.types.Schema).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

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


_OBJECTS_WITH_NULLS: Final = frozenset({FieldType.BOOLEAN, FieldType.INTEGER, FieldType.LONG})
"""Types whose NumPy dtype has no value for a null."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One input column of the model."""

    name: str
    type: FieldType
    required: bool = True

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of this feature's column in every batch, with nulls in it or without.

        A null is NaN in float and double, NaT in datetime, None in string. An optional boolean,
        integer or long is an array of objects: Python's bool or int, or None.
        """
        if self.type in _OBJECTS_WITH_NULLS and not self.required:
            return np.dtype(object)
        return DTYPES[self.type]

    @property
    def is_numeric(self) -> bool:
        """Whether the column can stand in a matrix of floats."""
        return self.type not in (FieldType.STRING, FieldType.DATETIME)


@dataclass(frozen=True)
class FeatureBlock:
    """Features that are alike in type and `required`, with their places in the schema."""

    places: tuple[int, ...]
    features: tuple[Feature, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The features' names."""
        return tuple(f.name for f in self.features)


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
        """Read `mlflow.types.Schema.to_dict()`: `[{"name": ..., "type": ..., "required": ...}]`.

        Raises BundleError naming the column, and what to change, when it is no named scalar column.
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

    @cached_property
    def blocks(self) -> tuple[FeatureBlock, ...]:
        """The features by type and `required`: what can be checked and converted together."""
        gathered: dict[tuple[FieldType, bool], list[int]] = {}
        for place, feature in enumerate(self.features):
            gathered.setdefault((feature.type, feature.required), []).append(place)
        return tuple(
            FeatureBlock(tuple(places), tuple(self.features[place] for place in places))
            for places in gathered.values()
        )

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
    name, kind = column.get("name"), column.get("type", "")
    shown = f"'{name}'" if isinstance(name, str) and name else str(position + 1)
    if kind not in list(FieldType):
        advice = _ADVICE.get(kind, _OTHER_ADVICE) if isinstance(kind, str) else _OTHER_ADVICE
        raise BundleError(
            f"input column {shown} of the signature has the type {_shown_type(kind)}, and trilane "
            f"takes {', '.join(FieldType)}: {advice}"
        )
    if not isinstance(name, str):
        told = "no name" if name is None else "a name that is no string"
        raise BundleError(
            f"input column {shown} of the signature has {told}: log the model with an input "
            "example or a signature that is a DataFrame whose column names are strings"
        )
    if not name:
        raise BundleError(f"input column {shown} of the signature has an empty name: rename it")
    return Feature(name, FieldType(kind), bool(column.get("required", True)))


def _shown_type(kind: Any) -> str:
    return kind if isinstance(kind, str) else type(kind).__name__


_FLATTEN: Final = "give each element a column of its own, and rebuild the structure in the model"
_OTHER_ADVICE: Final = "log the model with a DataFrame whose columns have one of these types"
_ADVICE: Final[Mapping[str, str]] = {
    "tensor": (
        "log the model with a DataFrame as the input example, one column a feature, and not with "
        "an array or a dict of arrays"
    ),
    "array": _FLATTEN,
    "object": _FLATTEN,
    "map": _FLATTEN,
    "sparkml_vector": "log the whole Spark pipeline, with the columns the vector is assembled from",
    "binary": "send text, for instance base64 in a string column, and decode it in the model",
    "any": (
        "MLflow could not infer one type; log the model with a DataFrame whose columns each hold "
        "one kind of value, and are not all null, or with a signature of ColSpec"
    ),
}


def _json_type(feature: Feature) -> dict[str, Any]:
    schema = dict(_JSON_TYPES[feature.type])
    if not feature.required:
        schema["type"] = [schema["type"], "null"]
    return schema
