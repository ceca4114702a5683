"""What the event hub's door decides without a broker."""

import pytest

from adapters.event_hub.kafka_connection import KafkaConnection
from adapters.event_hub.kafka_writer import KafkaWriter
from adapters.event_hub.messages import Outgoing, portions
from scoring.errors import BrokerUnavailable, ConfigurationError, InputError

SECRET = "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=hush"


@pytest.mark.parametrize(
    ("connection_string", "protocol", "expected"),
    [
        (None, "auto", "PLAINTEXT"),
        (None, "SSL", "SSL"),
        (SECRET, "auto", "SASL_SSL"),
        (SECRET, "SASL_SSL", "SASL_SSL"),
        (SECRET, "SASL_PLAINTEXT", "SASL_PLAINTEXT"),
    ],
)
def test_security_follows_the_connection_string(
    connection_string: str | None, protocol: str, expected: str
) -> None:
    """A connection string signs in as Event Hubs asks, over TLS unless told otherwise."""
    from faststream.kafka.security import parse_security

    connection = KafkaConnection("h:9093", connection_string, protocol)  # type: ignore[arg-type]
    options = parse_security(connection.security())
    assert options.get("security_protocol", "PLAINTEXT") == expected
    if connection_string:
        assert options["sasl_mechanism"] == "PLAIN"
        assert options["sasl_plain_username"] == "$ConnectionString"
        assert options["sasl_plain_password"] == SECRET
    assert ("SSL" in expected) == (options.get("ssl_context") is not None)


@pytest.mark.parametrize(
    ("connection_string", "protocol", "text"),
    [(None, "SASL_SSL", "needs a connection string"), (SECRET, "PLAINTEXT", "takes no")],
)
def test_contradicting_security_settings_are_refused(
    connection_string: str | None, protocol: str, text: str
) -> None:
    """Nothing is sent in clear, and nobody connects anonymously, by accident."""
    with pytest.raises(ConfigurationError, match=text):
        KafkaConnection("h:9093", connection_string, protocol)  # type: ignore[arg-type]


def test_the_connection_string_is_not_shown() -> None:
    """The secret does not reach logs through a repr."""
    assert "hush" not in repr(KafkaConnection("h:9093", SECRET))


def test_client_options_are_those_event_hubs_asks_for() -> None:
    """Idle and metadata limits, timeouts, and sessions that are short only without Event Hubs."""
    options = KafkaConnection("a:1, b:2", SECRET).client_options()
    assert options["bootstrap_servers"] == ["a:1", "b:2"]
    assert options["metadata_max_age_ms"] == options["connections_max_idle_ms"] == 180_000
    assert options["request_timeout_ms"] == 60_000
    assert KafkaConnection("a:1", SECRET).group_options()["session_timeout_ms"] == 30_000
    assert KafkaConnection("a:1").group_options()["session_timeout_ms"] == 6_000
    short = KafkaConnection("a:1", session_seconds=1.5).group_options()
    assert (short["session_timeout_ms"], short["heartbeat_interval_ms"]) == (1_500, 500)


def test_what_is_in_flight_together_fits_one_request() -> None:
    """Portions keep the order, hold everything once, and stay below a request's limit."""
    messages = [Outgoing("h", b"k", b"x" * size) for size in (1, 400_000, 500_000, 800_000, 7, 9)]
    found = [list(p) for p in portions(messages)]
    assert [m for portion in found for m in portion] == messages
    assert [len(p) for p in found] == [3, 3]
    assert list(portions([])) == []


async def test_an_event_larger_than_any_request_is_a_terminal_error() -> None:
    """It is refused before anything is sent."""
    writer = KafkaWriter(KafkaConnection("127.0.0.1:1"), ())
    with pytest.raises(InputError, match="exceeds 1000000 bytes"):
        await writer.write([Outgoing("h", None, b"x" * 1_000_000)])


async def test_a_broker_that_does_not_answer_is_transient() -> None:
    """Connecting fails with an error that says where."""
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1 "):
        async with KafkaWriter(KafkaConnection("127.0.0.1:1"), ("h",)):
            pass
