"""A model's predictions as JSON Schema."""

from typing import Final

from online_api.openapi.pieces import NUMBER, TEXT, TRUTH, WHOLE, Piece, list_of, open_record_of
from online_api.reasons import REASONS
from scoring.model import ModelBundle
from scoring.predictions import RECORD_ID

_TYPES: Final[dict[str, Piece]] = {
    "double": NUMBER,
    "long": {**WHOLE, "format": "int64"},
    "boolean": TRUTH,
    "string": TEXT,
}


def prediction(model: ModelBundle) -> Piece:
    """One prediction as `/predict` answers it."""
    properties = {RECORD_ID: {**TEXT, "description": "The record's, or the one made up for it."}}
    properties |= outputs(model)
    return open_record_of(properties, [name for name in properties if name != REASONS])


def outputs(model: ModelBundle) -> dict[str, Piece]:
    """What the model says of a record; reasons are last and there when asked for."""
    found: dict[str, Piece] = {c.name: dict(_TYPES[c.type]) for c in model.output_columns}
    spec = model.manifest.output
    if spec.kind == "binary":
        threshold = 0.5 if spec.threshold is None else spec.threshold
        about_score = f"The probability of `{spec.positive}`."
        found["score"] |= {"minimum": 0, "maximum": 1, "description": about_score}
        about_label = f"`{spec.positive}` where the score reaches {threshold:g}."
        found["label"] |= {"enum": [spec.negative, spec.positive], "description": about_label}
    if model.manifest.outlier is not None:
        about = f"Whether `outlier_score` is above {model.manifest.outlier.threshold:g}."
        found["outlier"] = {**TRUTH, "description": about}
        about = "From 0 to 1; the higher, the more unusual the record."
        found["outlier_score"] = {**NUMBER, "description": about}
    if model.explainer is not None:
        found[REASONS] = _reasons(model)
    return found


def _reasons(model: ModelBundle) -> Piece:
    spec = model.manifest.reasons
    about = f"Above 0 raised the score, below 0 lowered it. Scale: {spec.scale}."
    reason = open_record_of(
        {
            "feature": {**TEXT, "enum": list(model.schema.names)},
            "contribution": {**NUMBER, "description": about},
        }
    )
    return list_of(reason, description=f"There when asked for. {spec.detail}")
