"""The document: what the stream worker reads and writes, typed by the model it scores with.

Source: AsyncAPI 3.0.0 (asyncapi.com), whose schemas are a superset of JSON Schema draft 07. The
parts are FastStream's classes for that version. Its generator is not used: it describes what a
Kafka handler takes in Python, here a batch of undecoded events, and knows no AMQP hub.
"""

from typing import Any

import msgspec
from faststream.specification.asyncapi.v3_0_0.schema import (
    ApplicationInfo,
    ApplicationSchema,
    Channel,
    Components,
    Operation,
)
from faststream.specification.asyncapi.v3_0_0.schema.bindings import (
    ChannelBinding,
    OperationBinding,
    kafka,
)
from faststream.specification.asyncapi.v3_0_0.schema.operations import Action

from scoring.model import ModelBundle
from stream_worker.asyncapi import words
from stream_worker.asyncapi.examples import examples_of
from stream_worker.asyncapi.hubs import DocumentedHubs
from stream_worker.asyncapi.messages import (
    BINARY_EVENT,
    DEAD_LETTER,
    EVENT,
    KAFKA_BINDINGS,
    SCORE,
    messages_of,
)
from stream_worker.asyncapi.schemas import component_schemas
from stream_worker.asyncapi.servers import reference, security_schemes, servers_of


def asyncapi_document(model: ModelBundle, hubs: DocumentedHubs) -> dict[str, Any]:
    """The document of a worker with this model; scores the model's example once, in this thread."""
    document = ApplicationSchema(
        info=ApplicationInfo(
            title=f"Stream scoring with {model.version.name}",
            version=model.version.version,
            description=words.about(model, hubs),
        ),
        servers=servers_of(hubs) or None,
        channels=_channels(hubs),
        operations=_operations(hubs),
        components=Components(
            messages=messages_of(hubs, examples_of(model, hubs)),
            schemas=component_schemas(model, hubs),
            securitySchemes=security_schemes(hubs),
        ),
    ).to_jsonable()
    return {"asyncapi": document.pop("asyncapi"), **document}


def asyncapi_json(document: dict[str, Any]) -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(document)


def _channels(hubs: DocumentedHubs) -> dict[str, Channel]:
    return {
        "events": _channel(hubs, hubs.events, "What is to be scored.", EVENT, BINARY_EVENT),
        "scores": _channel(hubs, hubs.scores, "What was scored.", SCORE),
        "deadLetters": _channel(hubs, hubs.dead_letters, "What was not scored.", DEAD_LETTER),
    }


def _channel(hubs: DocumentedHubs, hub: str, description: str, *names: str) -> Channel:
    binding = kafka.ChannelBinding(topic=hub, bindingVersion=KAFKA_BINDINGS)
    return Channel(
        address=hub,
        description=description,
        messages={name: reference("components/messages", name) for name in names},
        bindings=ChannelBinding(kafka=binding) if hubs.transport == "kafka" else None,
    )


def _operations(hubs: DocumentedHubs) -> dict[str, Operation]:
    group = kafka.OperationBinding(
        groupId={"type": "string", "const": hubs.consumer_group}, bindingVersion=KAFKA_BINDINGS
    )
    return {
        "receiveEvents": _operation(
            Action.RECEIVE,
            "events",
            "Publish events",
            "The worker receives the events that you publish.",
            words.about_publishing(hubs),
            EVENT,
            BINARY_EVENT,
            bindings=OperationBinding(kafka=group) if hubs.transport == "kafka" else None,
        ),
        "sendScores": _operation(
            Action.SEND,
            "scores",
            "Read scores",
            "The worker sends the scores that you read.",
            words.about_scores(hubs),
            SCORE,
        ),
        "sendDeadLetters": _operation(
            Action.SEND,
            "deadLetters",
            "Read dead letters",
            "The worker sends the dead letters that you read.",
            words.about_dead_letters(hubs),
            DEAD_LETTER,
        ),
    }


def _operation(
    action: Action,
    channel: str,
    title: str,
    summary: str,
    description: str,
    *names: str,
    bindings: OperationBinding | None = None,
) -> Operation:
    return Operation(
        action=action,
        channel=reference("channels", channel),
        title=title,
        summary=summary,
        description=description,
        messages=[reference(f"channels/{channel}/messages", name) for name in names],
        bindings=bindings,
    )
