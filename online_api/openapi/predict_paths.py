"""`/predict`, and `/predict/` with each model's name."""

from typing import Final

from online_api.openapi.examples import EVENT_TIME
from online_api.openapi.operations import Head, Operations, reasons_parameter
from online_api.openapi.pieces import JSON, answer, content, named, ref
from online_api.openapi.shown_model import ShownModel
from scoring.json_schema import TEXT, Piece, list_of, open_record_of, record_of

TAG: Final = "Scoring"


def predict_paths(operations: Operations, shown: list[ShownModel]) -> Piece:
    """The paths."""
    paths = {"/predict": {"post": _predict(operations, shown[0], "predict", is_named=False)}}
    for one in shown:
        operation = _predict(operations, one, f"predict_{one.key}", is_named=True)
        paths[f"/predict/{one.in_path}"] = {"post": operation}
    return paths


def predict_schemas(operations: Operations, one: ShownModel) -> Piece:
    """What the paths of a model take and answer."""
    return {
        f"{one.key}_PredictRequest": _request(one, operations.limits.max_records),
        f"{one.key}_Predictions": _answer(one),
    }


def _predict(operations: Operations, one: ShownModel, name: str, is_named: bool) -> Piece:
    who = one.name if is_named else f"the default model, {one.name}"
    head = Head(
        name,
        TAG,
        f"Score records with {who}",
        f"{operations.sizes()} All of them are scored, or none.",
    )
    examples, answers, problem = {}, {}, None
    if one.example is not None:
        record = one.example.identified
        examples = {
            "An array of records": [record],
            "With the time of the facts": {"event_time": EVENT_TIME, "records": [record]},
        }
        answers = named("The example's prediction", one.example.predictions())
        problem = named("A field is missing", one.example.problem())
    return operations.scores(
        head,
        {JSON: content(one.ref("PredictRequest"), examples)},
        answer(
            "One prediction per record, in order",
            {JSON: content(one.ref("Predictions"), answers)},
        ),
        reasons_parameter(one.model),
        problem=problem,
        is_named=is_named,
    )


def _request(one: ShownModel, most: int) -> Piece:
    records = list_of(one.ref("Record"), minItems=1, maxItems=most)
    event_time = {
        **TEXT,
        "format": "date-time",
        "description": "When the facts were true, from 1970 to 2261; else the time of receipt.",
    }
    envelope = record_of({"records": records, "event_time": event_time}, ["records"])
    return {
        "oneOf": [
            {"title": "An array of records", **records},
            {"title": "With the time of the facts", **envelope},
        ]
    }


def _answer(one: ShownModel) -> Piece:
    return open_record_of(
        {
            "request_id": TEXT,
            "model": ref("ModelVersion"),
            "predictions": list_of(one.ref("Prediction"), minItems=1),
        }
    )
