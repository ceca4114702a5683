"""CloudEvents in and out."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from adapters.event_hub.cloudevents import encode
from adapters.event_hub.messages import Received
from scoring.records import Violation
from stream_worker.cloudevents import Event, EventDecoder
from tests.support.broker import attributes, event, received

MAX = 10_000

BINARY = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"e1"),
    ("ce_source", b"urn:test"),
    ("ce_type", b"hr.employee.updated"),
    ("ce_subject", "é17".encode()),
    ("ce_time", b"2026-03-02T12:30:00+01:00"),
    ("content-type", b"application/json"),
)


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """What some of the records here fit."""

    x: int | None = None


def decode(given: Received) -> Event | Violation:
    """As plain JSON; a decoder of rows says the same of everything but the data."""
    plain, rows = EventDecoder(MAX).decode(given), EventDecoder(MAX, Row).decode(given)
    if isinstance(plain, Event) and isinstance(rows, Event):
        assert attributes(rows) == attributes(plain)
        assert rows.typed == (plain.data == {} or plain.data == {"x": 1})
    else:
        assert rows == plain
    return plain


def of(
    event_id: str,
    source: str,
    kind: str,
    subject: str | None = None,
    time: datetime | None = None,
    data: Any = None,
) -> Event:
    """A decoded event."""
    told = {"subject": subject, "time": time, "data": data}
    return Event(specversion="1.0", id=event_id, source=source, type=kind, **told)


def rule_of(value: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()) -> str:
    """The code and rule with which an event is refused."""
    outcome = decode(received(value, headers=headers))
    assert isinstance(outcome, Violation)
    assert outcome.field is None
    return f"{outcome.code}: {outcome.rule}"


def test_a_structured_event_is_decoded() -> None:
    """Every attribute arrives, with the time in UTC."""
    outcome = decode(received(event("e1", {"x": 1}, "17", time="2026-03-02T12:30:00+01:00")))
    at = datetime(2026, 3, 2, 11, 30, tzinfo=UTC)
    assert outcome == of("e1", "urn:test", "hr.employee.updated", "17", at, {"x": 1})


def test_both_modes_give_the_same_event() -> None:
    """Binary mode carries the attributes in headers and the data as the value."""
    structured = event("e1", {"x": 1}, "é17", time="2026-03-02T12:30:00+01:00")
    assert decode(received(b'{"x": 1}', headers=BINARY)) == decode(received(structured))


def test_the_content_type_decides_between_the_modes() -> None:
    """An event declared structured is structured, even with CloudEvents headers beside it."""
    headers = (*BINARY[:-1], ("content-type", b"application/cloudevents+json; charset=UTF-8"))
    outcome = decode(received(event("inner", {}), headers=headers))
    assert isinstance(outcome, Event)
    assert outcome.id == "inner"


def test_optional_attributes_and_extensions() -> None:
    """Subject, time and data may be absent; extension attributes are allowed."""
    raw = event("e1", None, time=None, dataref="x").replace(b"subject", b"object")
    outcome = decode(received(raw))
    assert outcome == of("e1", "urn:test", "hr.employee.updated")


@pytest.mark.parametrize(("given", "kept"), [("00-1", "00-1"), ("", ""), (7, 7), ({}, {})])
def test_the_sender_s_trace_is_kept_as_it_is(given: Any, kept: Any) -> None:
    """Whatever stands there, an event is never rejected for it."""
    outcome = decode(received(event("e1", {}, traceparent=given)))
    assert isinstance(outcome, Event)
    assert outcome.traceparent == kept


def test_headers_that_are_no_text_do_not_matter_in_structured_mode() -> None:
    """Only the CloudEvents headers are read, and only in binary mode."""
    headers = (("traceparent", b"\xff\xfe"), ("content-type", b"\xff"), ("ce_id", b"\xff"))
    assert isinstance(decode(received(event("e1", {}), headers=headers)), Event)


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (None, "not JSON"),
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"data": NaN}', "no CloudEvent"),
        (b'{"data": NaN', "not JSON"),
        (b"[]", "no CloudEvent"),
        (b'"secret"', "no CloudEvent"),
        (b'{"specversion": "\xff"}', "UTF-8"),
        (b'{"data":' + b"[" * 4000 + b"]" * 4000 + b"}", "nested"),
        (event("", {}), "$.id"),
        (event("e" * 1025, {}), "$.id"),
        (event("e1", {}, source=None), "`source`"),
        (event("e1", {}, type=None), "`type`"),
        (event("e1", {}, specversion="0.3"), "version 1.0"),
        (event("e1", {}) + b"x", "not JSON"),
        (event("e1", {}, id=5), "$.id"),
        (event("e1", {}, time="secret"), "$.time"),
        (event("e1", {}, time="2026-03-02T11:30:00"), "$.time"),
        (event("e1", {}, time="0001-01-01T00:00:00+14:00"), "time is out of range"),
        (b'{"data": {"secret": 1e999}}', "no CloudEvent"),
    ],
)  # fmt: skip
def test_what_is_no_cloudevent_is_malformed(value: bytes | None, part: str) -> None:
    """Whatever cannot be read is one violation that names the rule and no value."""
    rule = rule_of(value)
    assert rule.startswith("malformed: ")
    assert part in rule
    assert "secret" not in rule


def test_binary_headers_that_are_no_text_are_malformed() -> None:
    """A CloudEvents header must be UTF-8."""
    headers = (*BINARY[:1], ("ce_id", b"\xa1\xff"), *BINARY[2:])
    assert rule_of(b"{}", headers) == "malformed: has a CloudEvents header that is not UTF-8"


def test_an_oversized_event_is_not_decoded() -> None:
    """The limit is in bytes of the value."""
    assert rule_of(b"x" * (MAX + 1)) == "too_large: must not exceed 10000 bytes"
    assert rule_of(b"x" * MAX).startswith("malformed")


def test_encoded_events_decode_to_what_went_in() -> None:
    """What is published reads back; it says that its data is JSON."""
    at = datetime(2026, 3, 2, 11, 30, tzinfo=UTC)
    raw = encode(event_id="i", source="s", kind="t", subject=None, time=at, data={"a": 0.1})
    assert decode(received(raw)) == of("i", "s", "t", None, at, {"a": 0.1})
    assert json.loads(raw)["datacontenttype"] == "application/json"
    assert "subject" not in json.loads(raw)
