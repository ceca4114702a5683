"""Events as AMQP messages carry them, both ways."""

import struct
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.eventhub import EventData
from hypothesis import given
from hypothesis import strategies as st

from adapters.event_hub.amqp_events import annotated, received
from adapters.event_hub.messages import Outgoing, Received
from tests.support.amqp_events import NOW_MS, event
from tests.support.amqp_hub.codec import described, encode
from tests.support.amqp_hub.messages import DATA, VALUE
from tests.support.amqp_hub.values import (
    Described,
    Int,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)

_SEQUENCE = 0x76
AN_ID = uuid.UUID("6f1f4b4e-2ad2-4a6f-9a5b-0d6f6a7f2f0e")


def read(data: EventData) -> Received:
    """As the third partition of a hub gives it."""
    return received("hub", 3, data)


def test_an_event_keeps_its_parts() -> None:
    """Place, time, key, value and headers; the content type of the message is a header."""
    data = event(
        7,
        b"\x00\xff",
        {"text": encode("é"), "raw": encode(b"\x01\xff"), "content-type": encode("text/plain")},
        {"x-opt-partition-key": "clé"},
        "application/json",
    )
    assert read(data) == Received(
        "hub",
        3,
        7,
        NOW_MS,
        "clé".encode(),
        b"\x00\xff",
        (
            ("text", "é".encode()),
            ("raw", b"\x01\xff"),
            ("content-type", b"text/plain"),
            ("content-type", b"application/json"),
        ),
    )


@pytest.mark.parametrize(
    ("annotations", "key"),
    [
        ({}, None),
        ({"x-opt-partition-key": "k"}, b"k"),
        ({"x-opt-partition-key": b"\xff"}, b"\xff"),
        ({"x-opt-kafka-key": b"\x00k"}, b"\x00k"),
        ({"x-opt-kafka-key": b"other", "x-opt-partition-key": "k"}, b"k"),
        ({"x-opt-partition-key": 7}, None),
    ],
)
def test_the_key_is_the_partition_key(annotations: dict[str, Any], key: bytes | None) -> None:
    """Or the key that a Kafka producer gave; None for neither."""
    assert read(event(0, annotations=annotations)).key == key


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (encode("é"), "é".encode()),
        (encode(""), b""),
        (encode(Symbol("name")), b"name"),
        (encode(b"\xa1\x02hi"), b"\xa1\x02hi"),
        (encode(True), b"true"),
        (encode(False), b"false"),
        (encode(None), b""),
        (encode(UByte(200)), b"200"),
        (encode(UShort(60_000)), b"60000"),
        (encode(UInt(4_000_000_000)), b"4000000000"),
        (encode(ULong(2**64 - 1)), b"18446744073709551615"),
        (encode(Int(-5)), b"-5"),
        (encode(-(2**62)), b"-4611686018427387904"),
        (b"\x72" + struct.pack(">f", 0.5), b"0.5"),
        (b"\x82" + struct.pack(">d", -1.25e30), b"-1.25e+30"),
        (encode(AN_ID), str(AN_ID).encode()),
        (encode(Described(Symbol("com.microsoft:uri"), "urn:x")), b"urn:x"),
    ],
)
def test_properties_of_every_type_become_text(value: bytes, text: bytes) -> None:
    """As CloudEvents writes them; binary stays as it is, whatever it looks like."""
    assert read(event(0, properties={"p": value})).headers == (("p", text),)


@pytest.mark.parametrize("value", [["a"], {"a": 1}])
def test_a_property_without_text_is_left_out(value: Any) -> None:
    """Lists and maps are no CloudEvents attributes; the others stay."""
    headers = read(event(0, properties={"p": encode(value), "q": encode("x")})).headers
    assert headers == (("q", b"x"),)


@pytest.mark.parametrize("name", ["cloudEvents:time", "cloudEvents_time", "ce_time"])
@given(at=st.datetimes(datetime(1900, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))
def test_the_time_of_an_event_may_be_a_timestamp(name: str, at: datetime) -> None:
    """AMQP's, which has milliseconds, or .NET's, which has ten ticks a microsecond."""
    exact = at.isoformat().replace("+00:00", "Z").encode()
    ticks = (at - datetime(1, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 10
    net = encode(Described(Symbol("com.microsoft:datetime-offset"), ticks))
    assert read(event(0, properties={name: net})).headers == ((name, exact),)
    whole = at.replace(microsecond=at.microsecond // 1000 * 1000)
    milliseconds = (whole - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    amqp = encode(Timestamp(milliseconds))
    [(_, text)] = read(event(0, properties={name: amqp})).headers
    assert datetime.fromisoformat(text.decode()) == whole
    assert text.endswith(b"Z")


@pytest.mark.parametrize("number", [-(2**63), -(10**15), 2**63 - 1, 2**64 - 1])
def test_a_time_that_is_none_is_a_number(number: int) -> None:
    """Before year 1 and after year 9999 there is no RFC 3339; that makes the event malformed."""
    value = encode(ULong(number) if number >= 2**63 else number)
    assert read(event(0, properties={"ce_time": value})).headers == (
        ("ce_time", str(number).encode()),
    )


@pytest.mark.parametrize(
    ("sections", "value"),
    [
        ([described(DATA, encode(b"a")), described(DATA, encode(b"b"))], b"ab"),
        ([described(DATA, encode(b""))], b""),
        ([described(VALUE, encode("é"))], "é".encode()),
        ([described(VALUE, encode(b"\xff"))], b"\xff"),
        ([described(VALUE, encode(7))], b"7"),
        ([described(VALUE, encode(None))], None),
        ([described(VALUE, encode({"a": 1}))], None),
        ([described(VALUE, encode(["a"]))], None),
        ([described(_SEQUENCE, encode(["a"]))], None),
        ([], None),
    ],
)
def test_a_body_is_its_bytes(sections: list[bytes], value: bytes | None) -> None:
    """Data sections are joined; one simple value is its text; what else there is has no bytes."""
    assert read(event(0, body_sections=sections)).value == value


SIMPLE: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.text(), st.binary(), st.uuids(), st.integers(-(2**63), 2**63 - 1)
)
ANY = st.recursive(
    SIMPLE, lambda inner: st.lists(inner) | st.dictionaries(SIMPLE, inner), max_leaves=5
)


@given(
    st.dictionaries(st.text(), ANY), st.lists(ANY, max_size=2), st.dictionaries(st.text(), SIMPLE)
)
def test_nothing_that_a_sender_puts_in_raises(
    properties: dict[str, Any], values: list[Any], annotations: dict[str, Any]
) -> None:
    """Whatever it is, the event is one, with names and values of the right types."""
    found = read(
        event(
            1,
            properties={name: encode(value) for name, value in properties.items()},
            annotations={name: value for name, value in annotations.items() if name.isascii()},
            body_sections=[described(VALUE, encode(value)) for value in values],
        )
    )
    assert found.offset == 1
    assert all(type(n) is str and type(v) is bytes for n, v in found.headers)
    assert found.value is None or type(found.value) is bytes


def test_an_event_to_publish_has_the_parts_of_a_message() -> None:
    """Headers that are UTF-8 are strings, the content type is the message's, the key is the
    partition key of a durable message.
    """
    headers = (("content-type", b"application/json"), ("text", "é".encode()), ("raw", b"\xff"))
    message = annotated(Outgoing("hub", "clé".encode(), b"\x00\xff", headers))
    assert list(message.body) == [b"\x00\xff"]
    assert message.application_properties == {"text": "é", "raw": b"\xff"}
    assert message.annotations == {"x-opt-partition-key": "clé"}
    assert message.properties is not None
    assert message.properties.content_type == "application/json"
    assert message.header is not None
    assert message.header.durable is True


def test_an_event_without_key_has_no_partition_key() -> None:
    """And nothing else that it does not need."""
    message = annotated(Outgoing("hub", None, b""))
    assert list(message.body) == [b""]
    assert not message.application_properties
    assert not message.annotations
    assert message.properties is None


def test_a_key_that_is_no_text_stays_binary() -> None:
    """Event Hubs would ignore it when choosing a partition, but that is chosen already."""
    assert annotated(Outgoing("hub", b"\xff", b"")).annotations == {"x-opt-partition-key": b"\xff"}
