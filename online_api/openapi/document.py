"""The document: what the server takes and gives, typed by the models it serves.

Source: OpenAPI 3.1.1 (spec.openapis.org), whose schemas are JSON Schema 2020-12.
"""

from typing import Any, Final

from online_api.context import Limits
from online_api.openapi import mlflow_paths, open_inference_paths, predict_paths, status_paths
from online_api.openapi.failures import problem, responses
from online_api.openapi.guards import SCHEMES, Guards
from online_api.openapi.open_inference_schemas import open_inference_schemas
from online_api.openapi.operations import Operations, request_id_parameter
from online_api.openapi.shown_model import ShownModel, shown_models
from online_api.protocols.open_inference import SERVER_VERSION
from online_api.served import Models
from scoring.json_schema import TEXT, WHOLE, Piece

VERSION: Final = "3.1.0"

_TAGS: Final = {
    predict_paths.TAG: "Records in, predictions out.",
    mlflow_paths.TAG: "The protocol of MLflow's scoring server.",
    open_inference_paths.TAG: "Version 2 of the protocol of KServe, Triton and MLServer.",
    status_paths.MODELS: "Which models answer, and what they are.",
    status_paths.OPERATION: "Probes and metrics.",
}

_ERRORS: Final = (
    "Every error is a problem document (RFC 9457) that names fields and rules and never repeats a "
    "value. Besides those of each operation: 404 `not-found` and 405 `method-not-allowed`."
)


def build_openapi(models: Models, limits: Limits, guards: Guards | None = None) -> dict[str, Any]:
    """The document of an API that serves these models; scores each model's example once.

    Without `guards` whoever reaches the port may call.
    """
    shown, operations = shown_models(models), Operations(limits, guards)
    default = shown[0]
    paths = {
        **predict_paths.predict_paths(operations, shown),
        **mlflow_paths.mlflow_paths(operations, default),
        **open_inference_paths.open_inference_paths(operations, shown),
        **status_paths.model_paths(operations, shown),
        **status_paths.probe_paths(operations),
    }
    components = {
        "schemas": _schemas(operations, shown),
        "responses": responses(),
        "parameters": {"X-Request-ID": request_id_parameter()},
        "headers": _headers(),
    }
    if guards is not None:
        components["securitySchemes"] = SCHEMES
    return {
        "openapi": VERSION,
        "info": _info(shown),
        "tags": [{"name": name, "description": words} for name, words in _TAGS.items()],
        "paths": paths,
        "components": components,
    }


def _info(shown: list[ShownModel]) -> Piece:
    lines = [
        f"- `{one.name}` version `{one.model.version.version}`, bundle "
        f"`{one.model.version.digest[:12]}`{', the default' if one.is_default else ''}"
        for one in shown
    ]
    return {
        "title": "Online scoring",
        "version": SERVER_VERSION,
        "description": "\n".join(["Models:", "", *lines, "", _ERRORS]),
    }


def _schemas(operations: Operations, shown: list[ShownModel]) -> Piece:
    schemas: Piece = {}
    for one in shown:
        schemas |= one.schemas(operations.limits.max_records)
        schemas |= predict_paths.predict_schemas(operations, one)
    return {
        **schemas,
        **mlflow_paths.mlflow_schemas(operations, shown[0]),
        **open_inference_schemas(operations, shown),
        **status_paths.model_schemas(),
        "Problem": problem(),
    }


def _headers() -> Piece:
    return {
        "X-Request-ID": {"required": True, "schema": TEXT, "description": "The request's id."},
        "Retry-After": {"required": True, "schema": WHOLE, "description": "Seconds."},
        "WWW-Authenticate": {"required": True, "schema": TEXT},
    }
