"""A model's records as JSON Schema, in the shapes that the protocols bring them in."""

from typing import Final

from scoring.json_schema import TEXT, WHOLE, Piece, list_of, record_of, record_schema
from scoring.model_example import ordered
from scoring.predictions import RECORD_ID
from scoring.schema import Schema
from scoring.validation import MAX_RECORD_ID_CHARACTERS

_IDS: Final = [{**TEXT, "minLength": 1, "maxLength": MAX_RECORD_ID_CHARACTERS}, WHOLE]


def record(schema: Schema) -> Piece:
    """One record as an object."""
    piece = record_schema(schema)
    if RECORD_ID not in schema.names:
        piece["properties"] = {RECORD_ID: _record_id(), **piece["properties"]}
    example = schema.example
    return {**piece, "examples": [ordered(schema, example)]} if example else piece


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


def _ignored(piece: Piece) -> Piece:
    return {**piece, "description": "Accepted and not used by the model."}


def _record_id() -> Piece:
    words = "The caller's name for the record; made up when absent. It comes back as text."
    return {"description": words, "oneOf": _IDS}
