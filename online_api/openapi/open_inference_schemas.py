"""What the paths of the Open Inference Protocol take and answer."""

from typing import Final

from online_api.openapi.operations import Operations, reasons_count
from online_api.openapi.pieces import ref
from online_api.openapi.shown_model import ShownModel
from online_api.protocols.open_inference_outputs import output_datatypes
from online_api.protocols.open_inference_tensors import BYTES, DATATYPES
from online_api.reasons import REASONS
from scoring.json_schema import (
    TEXT,
    TRUTH,
    WHOLE,
    Piece,
    list_of,
    open_record_of,
    or_null,
    record_of,
)

_HINT: Final[Piece] = {"description": "Not read: the signature says what a tensor stands for."}


def open_inference_schemas(operations: Operations, shown: list[ShownModel]) -> Piece:
    """What the paths take and answer."""
    schemas: Piece = {
        "InputTensor": _input(operations.limits.max_records),
        "InferenceModel": _described_model(),
    }
    for one in shown:
        names = [*output_datatypes(one.model), *([REASONS] if one.model.explainer else [])]
        schemas[f"{one.key}_InferenceRequest"] = _request(names, reasons_count(one.model))
        schemas[f"{one.key}_InferenceAnswer"] = _answer(names)
    return schemas


def _input(most: int) -> Piece:
    shape = list_of({**WHOLE, "minimum": 0, "maximum": most}, minItems=1, maxItems=2)
    return record_of(
        {
            "name": {**TEXT, "description": "A field of the model, or any name for all fields."},
            "shape": {**shape, "description": "`[records]` or `[records, fields]`."},
            "datatype": {**TEXT, "enum": [*DATATYPES, BYTES]},
            "data": list_of({}, description="The elements, row by row, flat or nested."),
            "parameters": or_null(record_of({"content_type": _HINT}, [])),
        },
        ["name", "shape", "datatype", "data"],
    )


def _request(names: list[str], reasons: Piece) -> Piece:
    truth = {**TRUTH, "default": False}
    wanted = record_of(
        {
            "name": {**TEXT, "enum": names},
            "parameters": or_null(record_of({"binary_data": truth, "content_type": _HINT}, [])),
        },
        ["name"],
    )
    parameters = record_of(
        {
            REASONS: reasons,
            "binary_data_output": {**truth, "description": "All outputs as bytes."},
            "content_type": _HINT,
        },
        [],
    )
    ignored = {"description": "Not read: the path says it."}
    return record_of(
        {
            "inputs": list_of(ref("InputTensor"), minItems=1),
            "outputs": {**or_null(list_of(wanted)), "description": "All when absent."},
            "id": {**or_null(TEXT), "description": "It comes back."},
            "parameters": or_null(parameters),
            "model_name": ignored,
            "model_version": ignored,
        },
        ["inputs"],
    )


def _answer(names: list[str]) -> Piece:
    output = open_record_of(
        {
            "name": {**TEXT, "enum": names},
            "shape": list_of(WHOLE, minItems=1, maxItems=1),
            "datatype": TEXT,
            "data": list_of({}),
            "parameters": open_record_of({"binary_data_size": WHOLE}),
        },
        ["name", "shape", "datatype"],
    )
    return open_record_of(
        {"model_name": TEXT, "model_version": TEXT, "id": TEXT, "outputs": list_of(output)},
        ["model_name", "model_version", "outputs"],
    )


def _described_model() -> Piece:
    shape = list_of(WHOLE, minItems=1, maxItems=1)
    named = {"name": TEXT, "datatype": TEXT, "shape": shape}
    optional = {**TRUTH, "description": "There and true where it may be absent or null."}
    taken = open_record_of({**named, "optional": optional}, list(named))
    return open_record_of(
        {
            "name": TEXT,
            "versions": list_of(TEXT),
            "platform": TEXT,
            "inputs": list_of(taken),
            "outputs": list_of(open_record_of(named)),
        }
    )
