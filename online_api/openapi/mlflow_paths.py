"""`/invocations` and what else MLflow's scoring server has."""

from typing import Any, Final

from online_api.openapi.operations import Head, Operations, reasons_count, reasons_parameter
from online_api.openapi.pieces import JSON, answer, content, named, ref
from online_api.openapi.predictions import outputs
from online_api.openapi.shown_model import ShownModel
from online_api.protocols.mlflow_protocol import MLFLOW_VERSION
from online_api.reasons import REASONS
from scoring.json_schema import TEXT, Piece, list_of, open_record_of, or_null, record_of

TAG: Final = "MLflow"

_CSV: Final = "text/csv"


def mlflow_paths(operations: Operations, default: ShownModel) -> Piece:
    """The paths."""
    ready = answer("Requests may be sent here. The body is a line break", {JSON: content(None)})
    version = answer(f"`{MLFLOW_VERSION}`, as bare text", {JSON: content(None)})
    return {
        "/invocations": {"post": _invocations(operations, default)},
        "/ping": {"get": operations.shows(Head("ping", TAG, "Whether it is ready"), ready)},
        "/health": {"get": operations.shows(Head("health", TAG, "Whether it is ready"), ready)},
        "/version": {
            "get": operations.shows(
                Head("version", TAG, "The MLflow version whose protocol this is"), version
            )
        },
    }


def mlflow_schemas(operations: Operations, default: ShownModel) -> Piece:
    """What the paths take and answer."""
    return {
        "InvocationsRequest": _request(default, operations.limits.max_records),
        "Invocations": _answer(default),
    }


def _invocations(operations: Operations, default: ShownModel) -> Piece:
    head = Head(
        "invocations",
        TAG,
        f"Score records with the default model, {default.name}",
        "MLflow's scoring protocol: exactly one of its four JSON forms, or CSV with a header. "
        f"Types are as strict as in `/predict`, where MLflow would cast. {operations.sizes()}",
    )
    forms, rows, answers = {}, {}, {}
    if default.example is not None:
        forms = _forms(dict(default.example.record))
        rows = {"A header and a record": default.example.csv_text()}
        answers = named("The example's prediction", default.example.bare_predictions())
    return operations.scores(
        head,
        {JSON: content(ref("InvocationsRequest"), forms), _CSV: content(TEXT, rows)},
        answer("One entry per record, in order", {JSON: content(ref("Invocations"), answers)}),
        reasons_parameter(default.model),
    )


def _forms(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "dataframe_split": {
            "dataframe_split": {"columns": list(record), "data": [list(record.values())]}
        },
        "dataframe_records": {"dataframe_records": [record]},
        "instances": {"instances": [record]},
        "inputs": {"inputs": {name: [value] for name, value in record.items()}},
    }


def _request(default: ShownModel, most: int) -> Piece:
    names = list_of(TEXT, uniqueItems=True)
    rows = list_of(list_of({}), minItems=1, maxItems=most)
    split = record_of({"columns": names, "data": rows, "index": {}}, ["columns", "data"])
    records = list_of(default.ref("Record"), minItems=1, maxItems=most)
    shapes: list[Piece] = [
        records,
        list_of(default.ref("Row"), minItems=1, maxItems=most),
        default.ref("Columns"),
        default.ref("Record"),
    ]
    schema = default.model.schema
    if len(schema.names) == 1:
        values = schema.json_schema()["properties"][schema.names[0]]
        shapes.append(list_of(values, minItems=1, maxItems=most))
    tensors = {
        "description": "Records, rows in the order of the signature, columns by name, or a record.",
        "anyOf": shapes,
    }
    parameters = or_null(record_of({REASONS: reasons_count(default.model)}, []))
    forms = {
        "dataframe_split": split,
        "dataframe_records": records,
        "instances": tensors,
        "inputs": tensors,
    }
    return {
        "oneOf": [
            record_of({name: form, "params": parameters}, [name], title=name)
            for name, form in forms.items()
        ]
    }


def _answer(default: ShownModel) -> Piece:
    found = outputs(default.model)
    always = {name: piece for name, piece in found.items() if name != REASONS}
    entry = open_record_of(found, list(always))
    if len(always) == 1:
        (value,) = always.values()
        entry = {"oneOf": [value, entry]} if REASONS in found else value
    return open_record_of({"predictions": list_of(entry, minItems=1)})
