"""Edge cases of the parity set: what training data seldom has and callers may send."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from scoring.schema import Feature, FieldType, Schema

_INTEGERS: Final = (0, -1, 100_000, 2**24 + 1)
_FLOATS: Final = (0.0, -1.5, 1e6, 16_777_217.0)

_EDGES: Final[Mapping[FieldType, Sequence[Any]]] = {
    FieldType.STRING: ("", "unseen category", "Ünseen ☃", "\0"),
    FieldType.INTEGER: _INTEGERS,
    FieldType.LONG: _INTEGERS,
    FieldType.FLOAT: _FLOATS,
    FieldType.DOUBLE: _FLOATS,
    FieldType.BOOLEAN: (True, False),
    FieldType.DATETIME: ("1970-01-01T00:00:00", "1900-02-28", "2024-02-29T23:59:59.999999"),
}

_BEYOND_FLOAT32: Final = 1e39


def edge_cases(schema: Schema, known: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Variants of one known record, each with one value changed: to an unseen category, a number
    beyond the extremes, a null where that is allowed. Models may refuse some of them.
    """
    if not known:
        return []
    base = {feature.name: _known_value(feature, known) for feature in schema.features}
    cases = [
        {**base, feature.name: value}
        for feature in schema.features
        for value in _EDGES[feature.type]
    ]
    cases += [{**base, feature.name: None} for feature in schema.features if not feature.required]
    # Last and together: where a model refuses them, that is found with fewer calls.
    doubles = [feature for feature in schema.features if feature.type is FieldType.DOUBLE]
    return cases + [{**base, feature.name: _BEYOND_FLOAT32} for feature in doubles]


def _known_value(feature: Feature, known: Sequence[Mapping[str, Any]]) -> Any:
    values = (row.get(feature.name) for row in known)
    return next((v for v in values if v is not None and v == v), None)
