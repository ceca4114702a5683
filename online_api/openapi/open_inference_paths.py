"""The Open Inference Protocol, version 2: the paths under `/v2`."""

from typing import Final

from online_api.openapi.failures import PROBING
from online_api.openapi.operations import Head, Operations, reasons_parameter
from online_api.openapi.pieces import JSON, answer, content, named, ref
from online_api.openapi.shown_model import ShownModel
from online_api.protocols.open_inference import model_metadata
from scoring.json_schema import TEXT, TRUTH, WHOLE, Piece, list_of, open_record_of

TAG: Final = "Open Inference Protocol"

_OCTETS: Final = "application/octet-stream"
_LENGTH: Final = "Inference-Header-Content-Length"
_HINT: Final[Piece] = {"description": "Not read: the signature says what a tensor stands for."}


def open_inference_paths(operations: Operations, shown: list[ShownModel]) -> Piece:
    """The paths."""
    paths: Piece = {}
    for one in shown:
        of_model = f"/v2/models/{one.in_path}"
        of_version = f"{of_model}/versions/{one.version_in_path}"
        paths[f"{of_model}/infer"] = {"post": _infer(operations, one, f"infer_{one.key}")}
        paths[f"{of_version}/infer"] = {"post": _infer(operations, one, f"infer_{one.key}_version")}
    name = _name(shown)
    version = _parameter("version", sorted({one.model.version.version for one in shown}))
    for path, suffix, parameters in [
        ("/v2/models/{name}", "", [name]),
        ("/v2/models/{name}/versions/{version}", "_version", [name, version]),
    ]:
        paths[path] = {"get": _metadata(operations, shown, suffix, parameters)}
        paths[f"{path}/ready"] = {"get": _model_ready(operations, suffix, parameters)}
    return paths | _of_server(operations)


def _infer(operations: Operations, one: ShownModel, name: str) -> Piece:
    inputs = model_metadata(one.model)["inputs"]
    listed = ", ".join(f"`{tensor['name']}` {tensor['datatype']}" for tensor in inputs)
    head = Head(
        name,
        TAG,
        f"Score records with {one.name}",
        "A tensor for each field, of shape `[records]`, or one tensor of shape "
        f"`[records, {len(inputs)}]` that holds all fields in order. {operations.sizes()}\n\n"
        f"Fields: {listed}",
    )
    examples, answers = {}, {}
    if one.example is not None:
        examples = {"A tensor for each field": {"inputs": one.example.tensors()}}
        answers = named("All outputs", one.example.inference())
    success = answer(
        "A tensor of shape `[records]` for each output",
        {JSON: content(one.ref("InferenceAnswer"), answers), _OCTETS: content(None)},
    )
    return operations.scores(
        head,
        {JSON: content(one.ref("InferenceRequest"), examples), _OCTETS: content(None)},
        success,
        reasons_parameter(one.model),
        _json_length(),
        is_named=True,
    )


def _metadata(
    operations: Operations, shown: list[ShownModel], suffix: str, parameters: list[Piece]
) -> Piece:
    example = {one.name: model_metadata(one.model) for one in shown[:1]}
    return operations.shows(
        Head(f"inference_model{suffix}", TAG, "The tensors that a model takes and gives"),
        answer("The model", {JSON: content(ref("InferenceModel"), example)}),
        *parameters,
        role=operations.model_role,
    )


def _model_ready(operations: Operations, suffix: str, parameters: list[Piece]) -> Piece:
    schema = open_record_of({"name": TEXT, "ready": {**TRUTH, "const": True}})
    return operations.shows(
        Head(f"inference_model{suffix}_ready", TAG, "Whether a model scores"),
        answer("It does", {JSON: content(schema)}),
        *parameters,
    )


def _of_server(operations: Operations) -> Piece:
    server = open_record_of({"name": TEXT, "version": TEXT, "extensions": list_of(TEXT)})
    live = open_record_of({"live": {**TRUTH, "const": True}})
    ready = open_record_of({"ready": {**TRUTH, "const": True}})
    return {
        "/v2": {
            "get": operations.shows(
                Head("inference_server", TAG, "What server this is"),
                answer("The server", {JSON: content(server)}),
            )
        },
        "/v2/health/live": {
            "get": operations.shows(
                Head("inference_live", TAG, "Whether the process lives"),
                answer("It lives", {JSON: content(live)}),
                failing=PROBING,
            )
        },
        "/v2/health/ready": {
            "get": operations.shows(
                Head("inference_ready", TAG, "Whether requests may be sent here"),
                answer("They may", {JSON: content(ready)}),
            )
        },
    }


def _name(shown: list[ShownModel]) -> Piece:
    return _parameter("name", [one.name for one in shown])


def _parameter(name: str, values: list[str]) -> Piece:
    return {"name": name, "in": "path", "required": True, "schema": {**TEXT, "enum": values}}


def _json_length() -> Piece:
    return {
        "name": _LENGTH,
        "in": "header",
        "required": False,
        "description": "With `application/octet-stream` only: how many bytes of the body are JSON. "
        "The bytes of each tensor whose parameters have `binary_data_size` in place of `data` "
        "follow it, in order (the binary tensor data extension).",
        "schema": {**WHOLE, "minimum": 0},
    }
