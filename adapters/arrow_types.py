"""The Arrow types of a model's columns: as they are written, and as they may be read."""

from collections.abc import Callable, Mapping
from typing import Final

import pyarrow as pa
from pyarrow import types

from scoring.schema import Feature, FieldType

ARROW_TYPES: Final[Mapping[FieldType, pa.DataType]] = {
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.INTEGER: pa.int32(),
    FieldType.LONG: pa.int64(),
    FieldType.FLOAT: pa.float32(),
    FieldType.DOUBLE: pa.float64(),
    FieldType.STRING: pa.string(),
    FieldType.DATETIME: pa.timestamp("ns"),
}
"""What a feature's column is written as."""


def misfit(feature: Feature, kind: pa.DataType) -> str | None:
    """What is wrong when no value but null of this Arrow type fits the feature, else None."""
    stored = _stored(kind)
    if types.is_null(stored) or _READABLE[feature.type](stored):
        return None
    return f"column '{feature.name}' has the type {kind}, and the model takes {feature.type}"


def _stored(kind: pa.DataType) -> pa.DataType:
    """The type of the values themselves: without a dictionary, without an extension's name."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return kind.value_type if types.is_dictionary(kind) else kind


def is_text(kind: pa.DataType) -> bool:
    """Whether the values are text."""
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def is_time(kind: pa.DataType) -> bool:
    """Whether the values are dates or instants."""
    return bool(types.is_timestamp(kind) or types.is_date(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _is_time_or_text(kind: pa.DataType) -> bool:
    return is_time(kind) or is_text(kind)


_READABLE: Final[Mapping[FieldType, Callable[[pa.DataType], bool]]] = {
    FieldType.BOOLEAN: types.is_boolean,
    FieldType.INTEGER: _is_number,
    FieldType.LONG: _is_number,
    FieldType.FLOAT: _is_number,
    FieldType.DOUBLE: _is_number,
    FieldType.STRING: is_text,
    FieldType.DATETIME: _is_time_or_text,
}
