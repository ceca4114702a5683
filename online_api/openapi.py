"""The OpenAPI document, built from the model: typed fields, its own example, its own outputs.

OpenAPI 3.0, because the bundled Swagger UI does not render 3.1.
"""

from typing import Any, Final

from adapters.telemetry import CONTENT_TYPE
from online_api.context import Limits
from online_api.problems import KINDS, MAX_ERRORS, MEDIA_TYPE
from online_api.reasons import REASONS
from online_api.served import Models
from scoring.model import ModelBundle
from scoring.predictions import RECORD_ID
from scoring.validation import MAX_RECORD_ID_CHARACTERS

_OUTPUT_TYPES: Final[dict[str, dict[str, Any]]] = {
    "double": {"type": "number", "format": "double"},
    "long": {"type": "integer", "format": "int64"},
    "boolean": {"type": "boolean"},
    "string": {"type": "string"},
}
_EVENT_TIME: Final = "2026-01-31T12:00:00Z"
_REQUEST_ID: Final = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "description": "Comes back in the answer and stands in the log; made up when absent.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
}


def build_openapi(models: Models, limits: Limits) -> dict[str, Any]:
    """The document of an API that serves this model."""
    model = models.default.model
    version = model.version
    return {
        "openapi": "3.0.3",
        "info": {
            "title": f"{version.name}: online scoring",
            "version": version.version,
            "description": f"Scores records with model `{version.name}` version "
            f"`{version.version}` (bundle digest `{version.digest[:12]}`).",
        },
        "paths": {
            "/predict": {"post": _predict(model, limits)},
            "/model": {"get": _get("Which model answers", "application/json")},
            "/livez": {"get": _get("Whether the process lives", "application/json")},
            "/readyz": {"get": _get("Whether requests may be sent here", "application/json", 503)},
            "/metrics": {"get": _get("Prometheus metrics", CONTENT_TYPE.partition(";")[0])},
        },
        "components": {
            "schemas": {
                "Record": _record(model),
                "Request": _request(limits),
                "Prediction": _prediction(model),
                "Predictions": _predictions(),
                "Problem": _problem(),
            }
        },
    }


def _predict(model: ModelBundle, limits: Limits) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/Request"}}
    if model.schema.example is not None:
        example = dict(model.schema.example)
        envelope = {"event_time": _EVENT_TIME, "records": [example]}
        content["examples"] = {
            "array": {"summary": "An array of records", "value": [example]},
            "object": {"summary": "With the time of the event", "value": envelope},
        }
    return {
        "operationId": "predict",
        "summary": "Score records",
        "description": f"Up to {limits.max_records} records in up to {limits.max_body_bytes} "
        "bytes. All are scored, or none.",
        "parameters": [_reasons_parameter(model), _REQUEST_ID],
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {
            "200": _answer("One prediction per record, in order", "Predictions"),
            **{str(s): _failure(s) for s in (400, 413, 415, 422, 500, 503)},
        },
    }


def _reasons_parameter(model: ModelBundle) -> dict[str, Any]:
    words = "How many reasons each score gets: the features that moved it most, the strongest first"
    if model.explainer is None:
        words += f". This model gives none: {model.no_reasons}"
    return {
        "name": REASONS,
        "in": "query",
        "required": False,
        "description": words,
        "schema": {"type": "integer", "minimum": 0, "default": 0},
    }


def _get(summary: str, media_type: str, *failures: int) -> dict[str, Any]:
    kind = "object" if media_type == "application/json" else "string"
    content = {media_type: {"schema": {"type": kind}}}
    return {
        "summary": summary,
        "responses": {
            "200": {"description": summary, "content": content},
            **{str(s): _failure(s) for s in failures},
        },
    }


def _answer(description: str, schema: str, media_type: str = "application/json") -> dict[str, Any]:
    return {
        "description": description,
        "headers": {"X-Request-ID": {"schema": {"type": "string"}}},
        "content": {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def _failure(status: int) -> dict[str, Any]:
    kinds = [kind for kind in KINDS if kind.status == status]
    description = "; ".join(f"`{kind.code}`: {kind.title}" for kind in kinds)
    return _answer(description, "Problem", MEDIA_TYPE)


def _record(model: ModelBundle) -> dict[str, Any]:
    schema = model.schema.json_schema()
    properties: dict[str, Any] = {n: _nullable(p) for n, p in schema["properties"].items()}
    properties.setdefault(RECORD_ID, _record_id())
    return {**schema, "properties": properties}


def _record_id() -> dict[str, Any]:
    text = {"type": "string", "minLength": 1, "maxLength": MAX_RECORD_ID_CHARACTERS}
    return {
        "description": "The caller's name for the record; made up when absent.",
        "oneOf": [text, {"type": "integer"}],
    }


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """JSON Schema's `["integer", "null"]` as OpenAPI 3.0 says it."""
    kind = schema.get("type")
    if not isinstance(kind, list):
        return schema
    return {**schema, "type": next(k for k in kind if k != "null"), "nullable": True}


def _request(limits: Limits) -> dict[str, Any]:
    records = {
        "type": "array",
        "minItems": 1,
        "maxItems": limits.max_records,
        "items": {"$ref": "#/components/schemas/Record"},
    }
    event_time = {
        "type": "string",
        "format": "date-time",
        "description": "When the facts were true; the time of receipt when absent.",
    }
    envelope = {
        "type": "object",
        "required": ["records"],
        "properties": {"records": records, "event_time": event_time},
        "additionalProperties": False,
    }
    return {"oneOf": [records, envelope]}


def _prediction(model: ModelBundle) -> dict[str, Any]:
    spec = model.manifest.output
    properties: dict[str, Any] = {RECORD_ID: {"type": "string"}}
    properties |= {c.name: dict(_OUTPUT_TYPES[c.type]) for c in model.output_columns}
    if spec.kind == "binary":
        properties["score"] |= {"minimum": 0, "maximum": 1}
        properties["label"]["enum"] = [spec.negative, spec.positive]
    if model.outlier is not None:
        properties["outlier"] = {"type": "boolean"}
        properties["outlier_score"] = {"type": "number", "format": "double"}
    always = list(properties)
    if model.explainer is not None:
        properties["reasons"] = _reasons(model)
    return {"type": "object", "required": always, "properties": properties}


def _reasons(model: ModelBundle) -> dict[str, Any]:
    number = {
        "type": "number",
        "format": "double",
        "description": "Above 0 raised the score, below 0 lowered it. Scale: "
        f"{model.manifest.reasons.scale}.",
    }
    reason = {
        "type": "object",
        "required": ["feature", "contribution"],
        "properties": {
            "feature": {"type": "string", "enum": list(model.schema.names)},
            "contribution": number,
        },
    }
    return {
        "type": "array",
        "description": f"There when asked for. {model.manifest.reasons.detail}",
        "items": reason,
    }


def _predictions() -> dict[str, Any]:
    text = {"type": "string"}
    model = {
        "type": "object",
        "required": ["name", "version"],
        "properties": {"name": text, "version": text},
    }
    predictions = {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}}
    properties = {"request_id": text, "model": model, "predictions": predictions}
    return {"type": "object", "required": list(properties), "properties": properties}


def _problem() -> dict[str, Any]:
    text = {"type": "string"}
    error = {
        "type": "object",
        "required": ["field", "code", "rule"],
        "properties": {
            "field": {"type": "string", "example": "records[3].Age"},
            "code": text,
            "rule": text,
        },
    }
    return {
        "type": "object",
        "description": "RFC 9457. Names fields and rules, never values.",
        "required": ["type", "title", "status", "detail", "request_id"],
        "properties": {
            "type": {"type": "string", "enum": [kind.type for kind in KINDS]},
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "request_id": text,
            "errors": {"type": "array", "maxItems": MAX_ERRORS, "items": error},
            "error_count": {"type": "integer", "description": "How many errors there are in all."},
        },
    }
