"""Attributes of events in binary mode, by whatever protocol's names."""

import pytest

from adapters.event_hub.attributes import PREFIXES, binary_attributes

TEXT_VERSION = ("ce_specversion", b"1.0")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_attributes_are_found_under_every_prefix(prefix: str) -> None:
    """Kafka's names and both of AMQP's mean the same; what is not read is not there."""
    names = ("specversion", "id", "source", "type", "subject", "time", "traceparent")
    headers = tuple((prefix + name, name.encode()) for name in (*names, "dataschema"))
    assert binary_attributes((*headers, ("id", b"other"))) == {n: n.encode() for n in names}


def test_binary_mode_needs_no_content_type() -> None:
    """A specversion alone says that the attributes are in the headers."""
    version = ("cloudEvents:specversion", b"1.0")
    assert binary_attributes((version,)) == {"specversion": b"1.0"}
    for content in (b"application/json", b"text/plain", b""):
        assert binary_attributes((("content-type", content), version)) == {"specversion": b"1.0"}


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("content-type", b"application/cloudevents+json"),),
        (TEXT_VERSION, ("content-type", b" Application/CloudEvents+JSON; charset=UTF-8")),
        (("content-type", b"application/cloudevents+json"), TEXT_VERSION),
        (("ce_id", b"e1"), ("specversion", b"1.0")),
        (("ce_specversion", b""), ("ce_id", b"e1")),
        (("traceparent", b"00-1-2-01"),),
    ],
)
def test_everything_else_is_structured(headers: tuple[tuple[str, bytes], ...]) -> None:
    """No specversion, or a content type that says that the event is in the value."""
    assert binary_attributes(headers) is None


def test_a_trace_is_taken_from_the_attribute_first() -> None:
    """The extension's attribute, else the header of W3C Trace Context."""
    hop, attribute = ("traceparent", b"hop"), ("ce_traceparent", b"attribute")
    for order in ((TEXT_VERSION, hop, attribute), (attribute, hop, TEXT_VERSION)):
        assert (binary_attributes(order) or {})["traceparent"] == b"attribute"
    assert (binary_attributes((hop, TEXT_VERSION)) or {})["traceparent"] == b"hop"


def test_an_attribute_without_a_value_is_none() -> None:
    """An empty subject is no subject."""
    assert binary_attributes((TEXT_VERSION, ("ce_subject", b""))) == {"specversion": b"1.0"}
