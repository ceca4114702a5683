"""A model's predictions as JSON Schema."""

from online_api.reasons import REASONS
from scoring.json_schema import TEXT, Piece, open_record_of, output_schemas, reasons_schema
from scoring.model import ModelBundle
from scoring.predictions import RECORD_ID


def prediction(model: ModelBundle) -> Piece:
    """One prediction as `/predict` answers it."""
    properties = {RECORD_ID: {**TEXT, "description": "The record's, or the one made up for it."}}
    properties |= outputs(model)
    return open_record_of(properties, [name for name in properties if name != REASONS])


def outputs(model: ModelBundle) -> dict[str, Piece]:
    """What the model says of a record; reasons are last and there when asked for."""
    found = output_schemas(model)
    if model.explainer is not None:
        found[REASONS] = reasons_schema(model, "There when asked for.")
    return found
