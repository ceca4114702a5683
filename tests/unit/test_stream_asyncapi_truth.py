"""The schemas of the AsyncAPI document accept what the worker accepts, and nothing else."""

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from adapters.event_hub.messages import Received
from scoring.json_schema import record_schema
from scoring.model import ModelBundle
from scoring.schema import FieldType, Schema
from scoring.validation import validate_rows
from stream_worker.handler import Handler
from tests.support.asyncapi import FORMATS, HUBS, Document, document_of, example, message, validator
from tests.support.toy import EXAMPLE, NOW, load_toy

ABSENT = object()
EDGES = [
    *(bound + step for bound in (2**31, -(2**31), 2**63, -(2**63)) for step in (-1, 0, 1)),
    *(3.0, 3.5, -0.0, 3.4028235e38, 3.4028236e38, 1.7976931348623157e308, 10**400, -(10**400)),
]
# The worker also takes ISO 8601 that is not RFC 3339; JSON Schema has no word for the years.
TIMES = ["2026-03-02T10:00:00Z", "1700-01-01T00:00:00.5+05:30"]
TEXTS = ["", "3", "true", "yesterday", "x" * 256, "x" * 257, "x" * 1024, "x" * 1025, "1.0", "0.3"]
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.sampled_from(EDGES), st.integers(), st.sampled_from(TEXTS),
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(TIMES),
    st.just([1]), st.just({"a": 1}), st.just(ABSENT),
)  # fmt: skip
SETTINGS = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.fixture(scope="module")
def document(toy: ModelBundle) -> Document:
    """Its document."""
    return document_of(toy)


def changed(whole: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    """With one member of this value, or without it."""
    rest = {k: v for k, v in whole.items() if k != name}
    return rest if value is ABSENT else {**rest, name: value}


def is_scored(toy: ModelBundle, value: Any, headers: Any = ()) -> bool:
    """Whether the worker answers with a score; with a dead letter otherwise."""
    handler = Handler(toy, HUBS.scores, HUBS.dead_letters, HUBS.max_event_bytes)
    received = Received("events", 0, 0, -1, None, json.dumps(value).encode(), headers)
    results = handler.compute([received], NOW)
    assert len(results.scores) + len(results.rejected) == 1
    return len(results.scores) == 1


@given(st.sampled_from(FieldType), st.booleans(), ANYTHING)
@SETTINGS
def test_every_type_of_field(kind: FieldType, required: bool, value: Any) -> None:
    """Required or not, of any value."""
    schema = Schema.from_signature([{"name": "f", "type": str(kind), "required": required}])
    record = changed({}, "f", value)
    described = jsonschema.Draft7Validator(record_schema(schema), format_checker=FORMATS)
    assert described.is_valid(record) == (not validate_rows(schema, [record], ["r"]).rejections)


@given(st.sampled_from([*EXAMPLE, "comment", "other"]), ANYTHING)
@SETTINGS
def test_records(toy: ModelBundle, document: Document, name: str, value: Any) -> None:
    """A field with another value or without one; an ignored field, an unknown one."""
    record = changed(EXAMPLE, name, value)
    described = validator(document, {"$ref": "#/components/schemas/Record"})
    event = {**example(document, "Event")["payload"], "data": record}
    assert described.is_valid(record) == is_scored(toy, event)


@given(st.data(), ANYTHING)
@SETTINGS
def test_envelopes(toy: ModelBundle, document: Document, data: st.DataObject, value: Any) -> None:
    """Any attribute of any value or absent, and one that nobody knows."""
    described = document["components"]["schemas"]["Event"]
    name = data.draw(st.sampled_from([*described["properties"], "extension"]))
    event = changed(example(document, "Event")["payload"], name, value)
    assert validator(document, described).is_valid(event) == is_scored(toy, event)


@given(st.data(), st.sampled_from([*TEXTS, *TIMES, ABSENT]))
@SETTINGS
def test_headers_of_binary_mode(
    toy: ModelBundle, document: Document, data: st.DataObject, value: Any
) -> None:
    """Any header of any text or absent, and one that nobody knows."""
    described = message(document, "BinaryEvent")["headers"]
    shown = example(document, "BinaryEvent")
    name = data.draw(st.sampled_from([*described["properties"], "other"]))
    assume(value != "" or name in described["required"])  # an attribute without a value is none
    headers = changed(shown["headers"], name, value)
    raw = tuple((key, text.encode()) for key, text in headers.items())
    assert validator(document, described).is_valid(headers) == is_scored(toy, shown["payload"], raw)


def test_a_structured_content_type_is_no_binary_mode(toy: ModelBundle, document: Document) -> None:
    """Such a message is read as structured, where the record alone is no event."""
    shown = example(document, "BinaryEvent")
    headers = {**shown["headers"], "content-type": "application/cloudevents+json"}
    described = validator(document, message(document, "BinaryEvent")["headers"])
    assert not described.is_valid(headers)
    raw = tuple((key, text.encode()) for key, text in headers.items())
    assert not is_scored(toy, shown["payload"], raw)


def test_examples_are_scored(toy: ModelBundle, document: Document) -> None:
    """In both modes; the score that is shown is the score that is sent."""
    binary = example(document, "BinaryEvent")
    raw = tuple((key, text.encode()) for key, text in binary["headers"].items())
    for value, headers in [(example(document, "Event")["payload"], ()), (binary["payload"], raw)]:
        handler = Handler(toy, HUBS.scores, HUBS.dead_letters, HUBS.max_event_bytes)
        received = Received("events", 0, 0, -1, None, json.dumps(value).encode(), headers)
        (sent,) = handler.compute([received], NOW).scores
        shown = example(document, "Score")["payload"]
        assert json.loads(sent.value) == {**shown, "time": "2026-03-02T12:00:00Z"}
        assert sent.key == shown["subject"].encode()
