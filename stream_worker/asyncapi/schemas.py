"""The events as JSON Schema: the whole CloudEvents envelope, and `data` typed by the model.

Source: CloudEvents 1.0.2. An `Event` is what the worker takes and refuses, not what CloudEvents
allows besides.
"""

from collections.abc import Mapping
from typing import Any, Final

from adapters.event_hub.score_events import RUN_SOURCE, SCORE_TYPE
from scoring.json_schema import (
    TEXT,
    WHOLE,
    Piece,
    list_of,
    open_record_of,
    or_null,
    output_schemas,
    reasons_schema,
    record_schema,
)
from scoring.model import ModelBundle, ModelDescription
from scoring.predictions import RECORD_ID, PredictionRows
from scoring.validation import MAX_RECORD_ID_CHARACTERS
from stream_worker import dead_letter
from stream_worker.asyncapi.hubs import DocumentedHubs
from stream_worker.asyncapi.words import CODES, code_words
from stream_worker.cloudevents import MAX_ATTRIBUTE_CHARACTERS

_ATTRIBUTE: Final[Piece] = {**TEXT, "minLength": 1, "maxLength": MAX_ATTRIBUTE_CHARACTERS}
_SUBJECT: Final[Piece] = {**TEXT, "minLength": 1, "maxLength": MAX_RECORD_ID_CHARACTERS}
_TIME: Final[Piece] = {**TEXT, "format": "date-time"}
_BYTES: Final[Piece] = {**or_null(TEXT), "contentEncoding": "base64"}
_DROPPED: Final = "It and the three below are null when this event would be too large otherwise."
_OF_A_RUN: Final = "Of a batch run:"
_VERSION: Final[Piece] = {**TEXT, "const": "1.0", "description": "The version of CloudEvents."}


def component_schemas(model: ModelBundle, hubs: DocumentedHubs) -> dict[str, Piece]:
    """Every schema by its name."""
    return {
        "Event": open_record_of(
            {**attributes(), "data": _ref("Record")}, [*REQUIRED_ATTRIBUTES, "data"]
        ),
        "Record": record_schema(model.schema),
        "ScoreEvent": _score_event(model),
        "Score": _score(model, hubs.reasons),
        "DeadLetterEvent": _dead_letter_event(model),
        "DeadLetter": _dead_letter(model),
    }


REQUIRED_ATTRIBUTES: Final = ("specversion", "id", "source", "type", "subject")


def attributes() -> dict[str, Piece]:
    """What an event has beside its `data`; others are allowed and not read."""
    return {
        "specversion": _VERSION,
        "id": _told(_ATTRIBUTE, "With `source` the name of the event."),
        "source": _told(_ATTRIBUTE, "Where the event is from, as a URI: `urn:hr:workday`."),
        "type": _told(_ATTRIBUTE, "`hr.employee.updated` by convention; every type is scored."),
        "subject": _told(_SUBJECT, "The record's id, and the key."),
        "time": _told(
            or_null(_TIME),
            "When the facts were true, RFC 3339 with an offset; else when the hub received it.",
        ),
        "datacontenttype": {"description": "`application/json`; not read."},
        "traceparent": {"description": "W3C trace context; the worker's trace continues it."},
    }


def _answer(model: ModelDescription, kind: str, data: str, about_time: str) -> Piece:
    digest = "the digest of the model's bundle"
    return open_record_of(
        {
            "specversion": _VERSION,
            "id": {
                **TEXT,
                "pattern": "^[0-9a-f]{32}$",
                "description": f"Made of the event's `source` and `id` and {digest}: a repeat has "
                "the same, another model version another.",
            },
            "source": {**TEXT, "const": f"trilane/{model.version.name}"},
            "type": {**TEXT, "const": kind},
            "subject": _told(_SUBJECT, "The record's id, and the key."),
            "time": _told(_TIME, about_time),
            "datacontenttype": {**TEXT, "const": "application/json"},
            "data": _ref(data),
        }
    )


def _score_event(model: ModelDescription) -> Piece:
    about = f"When it was scored. {_OF_A_RUN} when the run began."
    piece = _answer(model, SCORE_TYPE, "Score", about)
    properties = piece["properties"]
    made = f"{properties['id']['description']} {_OF_A_RUN} made of run, file and row."
    properties["id"] = _told(properties["id"], made)
    return piece


def _score(model: ModelBundle, reasons: int) -> Piece:
    added = _common(model, TEXT)
    happened = "When the event happened: its `time`, or when the hub received it."
    added["causationtime"] = _told(_TIME, f"{happened} {_OF_A_RUN} the event time of its records.")
    for name, told in (("causationid", "`FILE#ROW`"), ("causationsource", f"`{RUN_SOURCE}RUN`")):
        words = f"{added[name]['description']} {_OF_A_RUN} {told}."
        added[name] = _told(added[name], words)
    names = PredictionRows(model, tuple(added)).names
    record_id = _told(TEXT, "The event's `subject`.")
    members = dict(zip(names, [record_id, *output_schemas(model).values()], strict=True))
    if reasons:
        count = min(reasons, len(model.schema.names))
        piece = reasons_schema(model, "The features that moved the score most, strongest first.")
        members["reasons"] = {**piece, "minItems": count, "maxItems": count}
    return open_record_of({**members, **added})


def _dead_letter_event(model: ModelDescription) -> Piece:
    piece = _answer(model, dead_letter.TYPE, "DeadLetter", "When it was rejected.")
    properties = piece["properties"]
    about = "The record's id, and the key; absent when the event has none."
    properties["subject"] = _told(_SUBJECT, about)
    properties["id"] = _told(
        properties["id"],
        properties["id"]["description"]
        + " Of an event that could not be decoded: of its place in the hub.",
    )
    return {**piece, "required": [name for name in piece["required"] if name != "subject"]}


def _dead_letter(model: ModelDescription) -> Piece:
    longest = dead_letter.MAX_DETAIL_CHARACTERS
    counted = {**WHOLE, "minimum": 0}
    return open_record_of(
        {
            "code": {**TEXT, "enum": [str(code) for code in CODES], "description": code_words()},
            "detail": _told(
                {**TEXT, "maxLength": longest},
                "Every broken rule with its field; never a value.",
            ),
            "attempts": _told(
                {**WHOLE, "minimum": 1}, "Which try to deliver the batch this comes from."
            ),
            RECORD_ID: _told(or_null(TEXT), "Null when there is none."),
            **_common(model, or_null(TEXT)),
            "hub": _told(TEXT, "Where the event is."),
            "partition": counted,
            "offset": counted,
            "original": _told(_BYTES, f"The event's value. {_DROPPED}"),
            "original_headers": {
                "type": ["array", "null"],
                "items": list_of({}, minItems=2, maxItems=2),
                "description": "Its headers, each as its name and its value in base64.",
            },
            "original_key": _told(_BYTES, "Its key."),
            "original_time": _told(or_null(_TIME), "When the hub received it."),
        }
    )


def _common(model: ModelDescription, cause: Mapping[str, Any]) -> dict[str, Piece]:
    version = model.version
    null = " Null when it could not be decoded." if "null" in cause["type"] else ""
    return {
        "model": open_record_of(
            {
                "name": {**TEXT, "const": version.name},
                "version": {**TEXT, "const": version.version},
            }
        ),
        "causationid": _told(cause, f"The `id` of the event.{null}"),
        "causationsource": _told(cause, f"The `source` of the event.{null}"),
    }


def _told(piece: Mapping[str, Any], words: str) -> Piece:
    return {**piece, "description": words}


def _ref(name: str) -> Piece:
    return {"$ref": f"#/components/schemas/{name}"}
