"""An event with the model's own example record, and what the worker answers to it.

Answers are computed, not written down: they are what a reader will see.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from adapters.event_hub.cloudevents import STRUCTURED_HEADERS, encode
from adapters.event_hub.messages import Outgoing, Received
from scoring.model import ModelBundle
from scoring.model_example import model_example
from stream_worker.asyncapi.hubs import DocumentedHubs
from stream_worker.handler import Handler

_RECORD_ID: Final = "record-1"
_TIME: Final = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
_SCORED_AT: Final = _TIME + timedelta(milliseconds=250)


@dataclass(frozen=True, slots=True)
class Examples:
    """Events as decoded JSON; None where there is none to show."""

    event: dict[str, Any] | None = None
    score: dict[str, Any] | None = None
    dead_letter: dict[str, Any] | None = None


def examples_of(model: ModelBundle, hubs: DocumentedHubs) -> Examples:
    """None of them for a model without an example, or with one that its own schema refuses. No
    score when the model fails on it, and no dead letter when no field is required.
    """
    found = model_example(model.schema, _RECORD_ID)
    if found is None:
        return Examples()
    event = _received(hubs, found.record)
    rest = _incomplete(model, found.record)
    return Examples(
        event=_decoded(event.value),
        score=_score(model, hubs, event),
        dead_letter=None if rest is None else _dead_letter(model, hubs, _received(hubs, rest)),
    )


def _incomplete(model: ModelBundle, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record without the first field that must be there."""
    needed = next((f.name for f in model.schema.features if f.required), None)
    if needed is None:
        return None
    return {name: value for name, value in record.items() if name != needed}


def _score(model: ModelBundle, hubs: DocumentedHubs, received: Received) -> dict[str, Any] | None:
    try:
        return _only(_handler(model, hubs).compute([received], _SCORED_AT).scores)
    except Exception:  # a model may raise anything, and a start does not fail for an example
        return None


def _dead_letter(
    model: ModelBundle, hubs: DocumentedHubs, received: Received
) -> dict[str, Any] | None:
    handler = _handler(model, hubs)
    return _only(handler.dead_letters(handler.compute([received], _SCORED_AT), 1))


def _handler(model: ModelBundle, hubs: DocumentedHubs) -> Handler:
    return Handler(model, hubs.scores, hubs.dead_letters, hubs.max_event_bytes, hubs.reasons)


def _received(hubs: DocumentedHubs, record: Mapping[str, Any]) -> Received:
    value = encode(
        event_id="0b5e1f6a",
        source="urn:hr:workday",
        kind="hr.employee.updated",
        subject=_RECORD_ID,
        time=_TIME,
        data=record,
    )
    milliseconds = int(_TIME.timestamp() * 1000)
    key = _RECORD_ID.encode()
    return Received(hubs.events, 3, 1042, milliseconds, key, value, STRUCTURED_HEADERS)


def _only(messages: Sequence[Outgoing]) -> dict[str, Any] | None:
    return _decoded(messages[0].value) if messages else None


def _decoded(value: bytes | None) -> dict[str, Any] | None:
    return None if value is None else msgspec.json.decode(value, type=dict[str, Any])
