"""A model's records as JSON Schema, in the shapes that the protocols bring them in."""

from collections.abc import Mapping
from typing import Any, Final

from online_api.openapi.pieces import TEXT, WHOLE, Piece, list_of, record_of
from scoring.predictions import RECORD_ID
from scoring.schema import Feature, FieldType, Schema
from scoring.validation import MAX_RECORD_ID_CHARACTERS

_WORDS: Final[Mapping[FieldType, str]] = {
    FieldType.BOOLEAN: "`true` or `false`; 0 and 1 are neither.",
    FieldType.INTEGER: "A whole number of 32 bits; `3.0` is one.",
    FieldType.LONG: "A whole number of 64 bits; `3.0` is one.",
    FieldType.FLOAT: "A number that fits in 32 bits.",
    FieldType.DOUBLE: "A number.",
    FieldType.STRING: "Text, taken as it stands.",
    FieldType.DATETIME: "An ISO 8601 date-time from 1678 to 2261; without a zone it is UTC.",
}
_IDS: Final = [{**TEXT, "minLength": 1, "maxLength": MAX_RECORD_ID_CHARACTERS}, WHOLE]


def record(schema: Schema) -> Piece:
    """One record as an object."""
    piece = schema.json_schema()
    example = piece.pop("example", None)
    properties = piece["properties"]
    for feature in schema.features:
        properties[feature.name]["description"] = _words(feature)
    if RECORD_ID not in schema.names:
        properties = {RECORD_ID: _record_id(), **properties}
    piece = {**piece, "properties": properties}
    return {**piece, "examples": [ordered(schema, example)]} if example else piece


def ordered(schema: Schema, example: Mapping[str, Any]) -> dict[str, Any]:
    """A record with its fields in the order of the signature; ignored ones are last."""
    names = [name for name in schema.names if name in example]
    return {name: example[name] for name in [*names, *sorted(example.keys() - set(names))]}


def row(schema: Schema) -> Piece:
    """One record as an array, in the order of the signature."""
    width = len(schema.names)
    return {
        "type": "array",
        "description": f"The {width} fields in the order of the signature.",
        "prefixItems": list(_types(schema).values()),
        "items": False,
        "minItems": width,
    }


def columns(schema: Schema, most: int) -> Piece:
    """Records as an array for each field, all of one length."""
    properties = {
        name: list_of(kind, minItems=1, maxItems=most) for name, kind in _types(schema).items()
    }
    if RECORD_ID not in schema.names:
        properties = {RECORD_ID: list_of(_record_id()), **properties}
    properties |= {name: _ignored(list_of({})) for name in sorted(schema.ignored)}
    needed = [feature.name for feature in schema.features if feature.required]
    return record_of(properties, needed, description="An array for each field, all of one length.")


def _types(schema: Schema) -> dict[str, Piece]:
    properties = schema.json_schema()["properties"]
    return {name: properties[name] for name in schema.names}


def _words(feature: Feature) -> str:
    return _WORDS[feature.type] + ("" if feature.required else " May be null or absent.")


def _ignored(piece: Piece) -> Piece:
    return {**piece, "description": "Accepted and not used by the model."}


def _record_id() -> Piece:
    words = "The caller's name for the record; made up when absent. It comes back as text."
    return {"description": words, "oneOf": _IDS}
