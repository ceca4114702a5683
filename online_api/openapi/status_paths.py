"""Which models answer, probes and metrics."""

from typing import Final

import msgspec

from adapters.telemetry import CONTENT_TYPE
from online_api.openapi.failures import PROBING
from online_api.openapi.operations import Head, Operations
from online_api.openapi.pieces import JSON, answer, content, ref
from online_api.openapi.shown_model import ShownModel
from scoring.json_schema import NUMBER, TEXT, TRUTH, WHOLE, Piece, list_of, open_record_of, or_null
from scoring.manifest import BackendSpec, ColumnSpec, OutputColumn, ParitySpec

MODELS: Final = "Models"
OPERATION: Final = "Operation"

_DIGEST: Final[Piece] = {**TEXT, "pattern": "^[0-9a-f]{64}$"}


def model_paths(operations: Operations, shown: list[ShownModel]) -> Piece:
    """The documents about models."""
    name: Piece = {
        "name": "name",
        "in": "path",
        "required": True,
        "schema": {**TEXT, "enum": [one.name for one in shown]},
    }
    one_model = answer("The model", {JSON: content(ref("Model"))})
    role = operations.model_role
    return {
        "/models": {
            "get": operations.shows(
                Head("models", MODELS, "Every served model in short"),
                answer("The models", {JSON: content(ref("Models"))}),
                role=role,
            )
        },
        "/models/{name}": {
            "get": operations.shows(
                Head("named_model", MODELS, "One model"), one_model, name, role=role
            )
        },
        "/model": {
            "get": operations.shows(
                Head("model", MODELS, "The model that answers when none is named"),
                one_model,
                role=role,
            )
        },
    }


def probe_paths(operations: Operations) -> Piece:
    """What machines ask."""
    alive = open_record_of({"status": {**TEXT, "const": "alive"}})
    ready = open_record_of({"status": {**TEXT, "const": "ready"}})
    metrics = {CONTENT_TYPE.partition(";")[0]: content(TEXT)}
    return {
        "/livez": {
            "get": operations.shows(
                Head("livez", OPERATION, "Whether the process lives"),
                answer("It lives", {JSON: content(alive)}),
                failing=PROBING,
            )
        },
        "/readyz": {
            "get": operations.shows(
                Head("readyz", OPERATION, "Whether requests may be sent here"),
                answer("They may", {JSON: content(ready)}),
            )
        },
        "/metrics": {
            "get": operations.shows(
                Head("metrics", OPERATION, "Prometheus metrics"),
                answer("The Prometheus text format", metrics),
                role=operations.metrics_role,
            )
        },
    }


def model_schemas() -> Piece:
    """What the documents about models hold."""
    version = {"name": TEXT, "version": TEXT}
    listed = open_record_of({**version, "digest": _DIGEST, "default": TRUTH})
    return {
        "ModelVersion": open_record_of(version),
        "Models": open_record_of({"models": list_of(listed, minItems=1)}),
        "Model": _model(),
    }


def _model() -> Piece:
    texts = or_null(TEXT)
    number = or_null(NUMBER)
    signature = open_record_of(
        {
            "inputs": list_of(_of_type(ColumnSpec)),
            "ignored": list_of(TEXT, description="Fields that may be sent and are not used."),
            "outputs": list_of(_of_type(OutputColumn)),
        }
    )
    return open_record_of(
        {
            "name": TEXT,
            "version": TEXT,
            "alias": {**texts, "description": "From which the version was resolved."},
            "digest": {**_DIGEST, "description": "Of the bundle; in every inference log entry."},
            "source_digest": {**_DIGEST, "description": "Of the registered files."},
            "role": TEXT,
            "run_id": texts,
            "packaged_at": TEXT,
            "loaded_at": texts,
            "threads": {**or_null(WHOLE), "description": "How many score one batch."},
            "backend": _of_type(BackendSpec),
            "parity": _of_type(ParitySpec),
            "reasons": _reasons(),
            "threshold": number,
            "outlier_threshold": number,
            "outlier_share": {**number, "description": "Of the reference, to be flagged."},
            "outlier_flagged_share": {
                **number,
                "description": "Of the reference, that is flagged.",
            },
            "signature": signature,
            "files": {"type": "object", "additionalProperties": _DIGEST},
        }
    )


def _reasons() -> Piece:
    return open_record_of(
        {
            "available": TRUTH,
            "method": TEXT,
            "detail": TEXT,
            "scale": or_null(TEXT),
            "explains": list_of(TEXT),
            "max_difference": or_null(NUMBER),
        }
    )


def _of_type(kind: type) -> Piece:
    """A part of the manifest, where every member stands."""
    (piece,), components = msgspec.json.schema_components([kind])
    name: str = piece["$ref"].rpartition("/")[2]
    found = components[name]
    return open_record_of(found["properties"], description=found.get("description", ""))
