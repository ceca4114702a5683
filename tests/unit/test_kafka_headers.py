"""Headers of records that came over Kafka, AMQP or HTTPS, as Event Hubs gives them to Kafka."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.event_hub.attributes import PREFIXES, binary_attributes
from adapters.event_hub.kafka_headers import plain_headers

NAMES = st.sampled_from(
    [f"{prefix}{name}" for prefix in PREFIXES for name in ("id", "time", "specversion")]
    + ["content-type", "traceparent", "x"]
)
TEXT_VERSION = ("ce_specversion", b"1.0")
AMQP_VERSION = ("cloudEvents:specversion", b"\xa1\x031.0")
TIMES = st.datetimes(timezones=st.just(UTC))


def string(text: str, wide: bool = False) -> bytes:
    """An AMQP string: str8-utf8 if it fits, else str32-utf8."""
    return sized(text.encode(), 0xA1, 0xB1, wide)


def sized(data: bytes, narrow: int, broad: int, wide: bool = False) -> bytes:
    """A value of variable width under the first constructor if it fits, else under the other."""
    if len(data) < 256 and not wide:
        return bytes([narrow, len(data)]) + data
    return bytes([broad]) + len(data).to_bytes(4, "big") + data


def timestamp(at: datetime) -> bytes:
    """An AMQP timestamp: whole milliseconds since 1970."""
    milliseconds = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return b"\x83" + milliseconds.to_bytes(8, "big", signed=True)


def number(value: int, constructor: int, width: int) -> bytes:
    """A whole number in so many bytes, two's complement if negative."""
    return bytes([constructor]) + (value % (1 << 8 * width)).to_bytes(width, "big")


def read(value: bytes, *others: tuple[str, bytes], name: str = "x") -> bytes:
    """A header's value, as it is read beside others."""
    return dict(plain_headers([*others, (name, value)]))[name]


@given(st.lists(st.tuples(NAMES, st.text())))
def test_text_passes_unaltered(headers: list[tuple[str, str]]) -> None:
    """Whatever text a Kafka producer set in whatever header arrives as it was, in its order."""
    sent = [(name, text.encode()) for name, text in headers]
    assert plain_headers(sent) == tuple(sent)


@given(st.lists(st.tuples(NAMES, st.text())), st.binary())
def test_text_passes_unaltered_beside_anything(
    headers: list[tuple[str, str]], other: bytes
) -> None:
    """Binary headers that are no attribute do not change how the text of others is read."""
    sent = [(name, text.encode()) for name, text in headers]
    assert plain_headers([("opaque", other), *sent])[1:] == tuple(sent)


@given(st.lists(st.tuples(NAMES, st.none() | st.binary())))
def test_garbage_raises_nothing(headers: list[tuple[str, bytes | None]]) -> None:
    """Any bytes are read as something, and no header is lost."""
    read_headers = plain_headers(headers)
    assert [name for name, _ in read_headers] == [name for name, _ in headers]
    binary_attributes(read_headers)


@given(st.binary(min_size=1), st.binary(min_size=1, max_size=12))
def test_garbage_behind_a_constructor_raises_nothing(tail: bytes, head: bytes) -> None:
    """The same for bytes that begin like an encoding."""
    for constructor in range(256):
        read(bytes([constructor]) + head + tail, AMQP_VERSION, name="ce_id")


def test_nesting_is_bounded() -> None:
    """A described value within a described value, and so on, is no value that is read."""
    value = b"\x00\xa3\x11com.microsoft:uri" * 50_000
    assert read(value, AMQP_VERSION, name="ce_id") == value


@given(st.text(), st.booleans())
def test_an_encoded_string_is_read_as_text(text: str, wide: bool) -> None:
    """Short or long, alone or beside other headers."""
    assert read(string(text, wide)) == text.encode()
    assert read(string(text, wide), TEXT_VERSION) == text.encode()


@given(st.text(alphabet=st.characters(max_codepoint=127)), st.booleans())
def test_an_encoded_symbol_is_read_as_text(text: str, wide: bool) -> None:
    """Like a string."""
    assert read(sized(text.encode(), 0xA3, 0xB3, wide)) == text.encode()


@given(st.binary(), st.booleans())
def test_encoded_binary_is_read_as_it_is(data: bytes, wide: bool) -> None:
    """What a client wrote as bytes arrives as these bytes."""
    assert read(sized(data, 0xA0, 0xB0, wide)) == data


@given(TIMES)
def test_an_encoded_time_is_read_as_rfc_3339(at: datetime) -> None:
    """In UTC, with its milliseconds."""
    text = read(timestamp(at)).decode()
    assert text.endswith("Z")
    whole = at - timedelta(microseconds=at.microsecond % 1000)
    assert datetime.fromisoformat(text) == whole


@given(st.binary(min_size=1))
def test_what_is_no_complete_encoding_stays(data: bytes) -> None:
    """A value with a byte too many or too few is left alone."""
    for value in (string("e1") + data, timestamp(datetime(2026, 3, 2, tzinfo=UTC)) + data):
        assert read(value) == value
    for value in (string("abc")[:-1], timestamp(datetime(2026, 3, 2, tzinfo=UTC))[:-1]):
        assert read(value) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (number(1042, 0x81, 8), b"1042"),
        (number(-7, 0x81, 8), b"-7"),
        (number(2**63, 0x80, 8), b"9223372036854775808"),
        (b"\x82\x3f\xf0\x00\x00\x00\x00\x00\x00", b"1.0"),
        (b"\x98" + uuid.UUID(int=7).bytes, b"00000000-0000-0000-0000-000000000007"),
    ],
)
def test_numbers_of_eight_bytes_and_uuids_are_text(value: bytes, text: bytes) -> None:
    """They cannot be text, so they are read in every header."""
    assert read(value) == text


SMALL = [
    (number(53, 0x54, 1), b"53"),
    (number(-53, 0x54, 1), b"-53"),
    (number(53, 0x55, 1), b"53"),
    (number(53, 0x51, 1), b"53"),
    (number(253, 0x50, 1), b"253"),
    (number(253, 0x52, 1), b"253"),
    (number(253, 0x53, 1), b"253"),
    (number(1042, 0x71, 4), b"1042"),
    (number(-1042, 0x71, 4), b"-1042"),
    (number(2**32 - 1, 0x70, 4), b"4294967295"),
    (number(1042, 0x61, 2), b"1042"),
    (number(65535, 0x60, 2), b"65535"),
    (b"\x72\x3f\xc0\x00\x00", b"1.5"),
    (b"\x73\x00\x00\x00\xe9", "é".encode()),
    (b"\x41", b"true"),
    (b"\x42", b"false"),
    (b"\x56\x01", b"true"),
    (b"\x56\x00", b"false"),
    (b"\x43", b"0"),
    (b"\x44", b"0"),
    (b"\x40", b""),
    (b"\x00\xa3\x11com.microsoft:uri\xa1\x08urn:test", b"urn:test"),
    (
        b"\x00\xa3\x1dcom.microsoft:datetime-offset" + number(621_355_968_000_000_010, 0x81, 8),
        b"1970-01-01T00:00:00.000001Z",
    ),
]


@pytest.mark.parametrize(("value", "text"), SMALL)
@pytest.mark.parametrize("version", [string("1.0"), string("1.0", wide=True), SMALL[0][0]])
def test_small_values_are_read_where_the_specversion_is_encoded(
    value: bytes, text: bytes, version: bytes
) -> None:
    """What may be text is decoded only when the specversion proves that all attributes are."""
    for prefix in PREFIXES:
        found = read(value, (f"{prefix}specversion", version), name=f"{prefix}subject")
        assert found == (value if version is SMALL[0][0] else text)


@pytest.mark.parametrize(("value", "_"), SMALL)
def test_small_values_elsewhere_stay(value: bytes, _: bytes) -> None:
    """Without that proof, and in headers that are no attributes, the bytes are what they are."""
    assert read(value, name="ce_subject") == value
    assert read(value, ("x", string("1.0")), name="ce_subject") == value
    assert read(value, ("ce_specversion", string("1.0")[:-1]), name="ce_subject") == value
    assert read(value, AMQP_VERSION, name="content-type") == value


@pytest.mark.parametrize(
    "value",
    [
        b"\x83" + b"\x7f" * 8,  # a time after the year 9999
        b"\xa1\x02\xff\xfe",  # a string that is not UTF-8
        b"\x94" + bytes(16),  # a decimal
        b"\xc0",
        b"\xb1\xff\xff\xff\xff",
        b"\xa1",
        b"\x73\x00\x11\x00\x00",  # a character beyond Unicode
        b"\x00\xa3\x11com.microsoft:uri",
        b"\x00\xa3\x1dcom.microsoft:datetime-offset\x81" + b"\x7f" * 8,
        b"\x00\xa3\x1dcom.microsoft:datetime-offset\x81",
    ],
)
def test_what_has_no_text_stays(value: bytes) -> None:
    """Whoever needs it as text will say that it is none."""
    assert read(value, AMQP_VERSION, name="ce_time") == value


def test_a_header_without_a_value_is_empty() -> None:
    """Kafka knows null as a value."""
    assert plain_headers([("x", None)]) == (("x", b""),)
    assert plain_headers(()) == ()


@given(st.text(min_size=1), TIMES)
def test_an_event_that_an_amqp_client_published_is_understood(text: str, at: datetime) -> None:
    """Properties as the binding prescribes them, and a content type that Event Hubs translated."""
    headers = plain_headers(
        [
            ("content-type", b"application/json"),
            AMQP_VERSION,
            ("cloudEvents:subject", string(text)),
            ("cloudEvents:time", timestamp(at)),
        ]
    )
    found = binary_attributes(headers)
    assert found is not None
    assert (found["specversion"], found["subject"]) == (b"1.0", text.encode())
    lost = at - datetime.fromisoformat(found["time"].decode())
    assert timedelta(0) <= lost < timedelta(milliseconds=1)


def test_an_event_that_was_posted_over_https_is_understood() -> None:
    """Event Hubs makes numbers of what looks like numbers: the specversion, and a subject."""
    headers = plain_headers(
        [
            ("cloudEvents_specversion", b"\x82\x3f\xf0\x00\x00\x00\x00\x00\x00"),
            ("cloudEvents_id", string("e1")),
            ("cloudEvents_subject", number(17, 0x54, 1)),
        ]
    )
    assert binary_attributes(headers) == {"specversion": b"1.0", "id": b"e1", "subject": b"17"}
