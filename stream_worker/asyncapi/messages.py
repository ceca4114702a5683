"""The messages of the hubs.

Sources: the protocol bindings of CloudEvents 1.0.2 for Kafka and AMQP; AsyncAPI's Kafka bindings.
"""

from typing import Any, Final

from faststream.specification.asyncapi.v3_0_0.schema import CorrelationId, Message

from adapters.event_hub.attributes import PREFIXES
from adapters.event_hub.cloudevents import CONTENT_TYPE
from scoring.json_schema import TEXT, Piece, open_record_of
from stream_worker.asyncapi.examples import Examples
from stream_worker.asyncapi.hubs import DocumentedHubs, Transport
from stream_worker.asyncapi.schemas import REQUIRED_ATTRIBUTES, attributes

EVENT: Final = "Event"
BINARY_EVENT: Final = "BinaryEvent"
SCORE: Final = "Score"
DEAD_LETTER: Final = "DeadLetter"

KAFKA_BINDINGS: Final = "0.4.0"
"""The version that FastStream's classes describe."""

_STRUCTURED: Final = "application/cloudevents+json"
_PREFIXES: Final[dict[Transport, str]] = {"kafka": PREFIXES[0], "amqp": PREFIXES[1]}
_MODES: Final[dict[Transport, str]] = {
    "kafka": "The attributes are headers in UTF-8, the record is the value. A message is taken for "
    "this mode when it has the header `ce_specversion` and its `content-type` does not begin with "
    "`application/cloudevents`. Other headers may hold anything.",
    "amqp": "The attributes are application properties, the record is the body. A message is taken "
    "for this mode when it has the property `cloudEvents:specversion` and its content type does "
    "not begin with `application/cloudevents`. A sender that cannot write a colon writes "
    "`cloudEvents_`. Other properties may hold anything.",
}


def messages_of(hubs: DocumentedHubs, examples: Examples) -> dict[str, Message]:
    """Every message by its name."""
    event = examples.event
    return {
        EVENT: _message(
            hubs,
            EVENT,
            "Event",
            "One JSON object with the attributes and the record. A message without a content type "
            "is read like this.",
            "$message.payload#/id",
            contentType=_STRUCTURED,
            payload=_schema("Event"),
            examples=_shown(None if event is None else {"payload": event}),
        ),
        BINARY_EVENT: _message(
            hubs,
            BINARY_EVENT,
            "Event in binary mode",
            _MODES[hubs.transport],
            f"$message.header#/{_PREFIXES[hubs.transport]}id",
            contentType="application/json",
            headers=_headers(hubs.transport),
            payload=_schema("Record"),
            examples=_shown(None if event is None else _binary(hubs.transport, event)),
        ),
        SCORE: _message(
            hubs,
            SCORE,
            "Score",
            "What the model says of one record.",
            "$message.payload#/data/causationid",
            contentType=CONTENT_TYPE,
            payload=_schema("ScoreEvent"),
            examples=_shown(None if examples.score is None else {"payload": examples.score}),
        ),
        DEAD_LETTER: _message(
            hubs,
            DEAD_LETTER,
            "Dead letter",
            "Why an event was not scored, where it is, and what it held.",
            "$message.payload#/data/causationid",
            contentType=CONTENT_TYPE,
            payload=_schema("DeadLetterEvent"),
            examples=_shown(
                None if examples.dead_letter is None else {"payload": examples.dead_letter}
            ),
        ),
    }


def _message(
    hubs: DocumentedHubs, name: str, title: str, description: str, location: str, **more: Any
) -> Message:
    """FastStream's class with what it has no fields for: headers, bindings, examples."""
    otherwise = "; without one the key of the event" if name == DEAD_LETTER else ""
    key = {**TEXT, "description": f"The `subject`{otherwise}."}
    bindings = {"kafka": {"key": key, "bindingVersion": KAFKA_BINDINGS}}
    if hubs.transport == "kafka":
        more["bindings"] = bindings
    correlation = CorrelationId(location=location, description="The event's `id`.")
    told = {"name": name, "title": title, "description": description}
    found = {k: v for k, v in more.items() if v is not None}
    return Message.model_validate({**told, "correlationId": correlation, **found})


def _headers(transport: Transport) -> Piece:
    prefix = _PREFIXES[transport]
    properties = {
        f"{prefix}{name}": piece
        for name, piece in attributes().items()
        if name != "datacontenttype"
    }
    properties[f"{prefix}time"] = {**properties[f"{prefix}time"], "type": "string"}
    if transport == "kafka":
        about = "`application/json`; not read, unless it says that the event is structured."
        structured = {"pattern": "^application/cloudevents"}
        properties["content-type"] = {**TEXT, "not": structured, "description": about}
    properties[f"{prefix}traceparent"] |= TEXT
    return open_record_of(properties, [f"{prefix}{name}" for name in REQUIRED_ATTRIBUTES])


def _binary(transport: Transport, event: dict[str, Any]) -> Piece:
    named = {name: event[name] for name in (*REQUIRED_ATTRIBUTES, "time")}
    headers = {f"{_PREFIXES[transport]}{name}": value for name, value in named.items()}
    if transport == "kafka":
        headers["content-type"] = "application/json"
    return {"headers": headers, "payload": event["data"]}


def _shown(example: Piece | None) -> list[Piece] | None:
    return None if example is None else [{"name": "example", **example}]


def _schema(name: str) -> Piece:
    return {"$ref": f"#/components/schemas/{name}"}
