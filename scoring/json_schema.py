"""What a model takes and gives as JSON Schema, for the documents of the lanes.

What is used of it means the same in draft 07 and in 2020-12.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from scoring.model import ModelDescription
from scoring.schema import Feature, FieldType, Schema

Piece = dict[str, Any]

TEXT: Final[Piece] = {"type": "string"}
WHOLE: Final[Piece] = {"type": "integer"}
NUMBER: Final[Piece] = {"type": "number", "format": "double"}
TRUTH: Final[Piece] = {"type": "boolean"}

_FIELD_WORDS: Final[Mapping[FieldType, str]] = {
    FieldType.BOOLEAN: "`true` or `false`; 0 and 1 are neither.",
    FieldType.INTEGER: "A whole number of 32 bits; `3.0` is one.",
    FieldType.LONG: "A whole number of 64 bits; `3.0` is one.",
    FieldType.FLOAT: "A number that fits in 32 bits.",
    FieldType.DOUBLE: "A number.",
    FieldType.STRING: "Text, taken as it stands.",
    FieldType.DATETIME: "An ISO 8601 date-time from 1678 to 2261; without a zone it is UTC.",
}
_OUTPUT_TYPES: Final[Mapping[str, Piece]] = {
    "double": NUMBER,
    "long": {**WHOLE, "format": "int64"},
    "boolean": TRUTH,
    "string": TEXT,
}


def record_of(
    properties: Mapping[str, Any], required: Sequence[str] | None = None, **more: Any
) -> Piece:
    """An object with these members and no others; all are required unless it is said which."""
    return open_record_of(properties, required, additionalProperties=False, **more)


def open_record_of(
    properties: Mapping[str, Any], required: Sequence[str] | None = None, **more: Any
) -> Piece:
    """An object that a later version may add members to."""
    needed = list(properties if required is None else required)
    piece = {"type": "object", "required": needed, "properties": dict(properties), **more}
    return piece if needed else {k: v for k, v in piece.items() if k != "required"}


def list_of(items: Mapping[str, Any], **more: Any) -> Piece:
    """An array."""
    return {"type": "array", "items": dict(items), **more}


def or_null(piece: Mapping[str, Any]) -> Piece:
    """The same, or null."""
    return {**piece, "type": [piece["type"], "null"]}


def record_schema(schema: Schema) -> Piece:
    """One record: the fields in the order of the signature with their words, then the ignored
    ones. Holds no example.
    """
    piece = schema.json_schema()
    piece.pop("example", None)
    for feature in schema.features:
        piece["properties"][feature.name]["description"] = _words(feature)
    return piece


def output_schemas(model: ModelDescription) -> dict[str, Piece]:
    """What the model says of a record, by name and in order; without reasons."""
    found: dict[str, Piece] = {c.name: dict(_OUTPUT_TYPES[c.type]) for c in model.output_columns}
    spec, outlier = model.manifest.output, model.manifest.outlier
    if spec.kind == "binary":
        threshold = 0.5 if spec.threshold is None else spec.threshold
        about_score = f"The probability of `{spec.positive}`."
        found["score"] |= {"minimum": 0, "maximum": 1, "description": about_score}
        about_label = f"`{spec.positive}` where the score reaches {threshold:g}."
        found["label"] |= {"enum": [spec.negative, spec.positive], "description": about_label}
    if outlier is not None:
        about = f"Whether `outlier_score` is above {outlier.threshold:g}."
        found["outlier"] = {**TRUTH, "description": about}
        about = "From 0 to 1; the higher, the more unusual the record."
        found["outlier_score"] = {**NUMBER, "description": about}
    return found


def reasons_schema(model: ModelDescription, words: str) -> Piece:
    """The reasons of a score; `words` come before what the method is."""
    spec = model.manifest.reasons
    about = f"Above 0 raised the score, below 0 lowered it. Scale: {spec.scale}."
    reason = open_record_of(
        {
            "feature": {**TEXT, "enum": list(model.schema.names)},
            "contribution": {**NUMBER, "description": about},
        }
    )
    return list_of(reason, description=f"{words} {spec.detail}")


def _words(feature: Feature) -> str:
    return _FIELD_WORDS[feature.type] + ("" if feature.required else " May be null or absent.")
