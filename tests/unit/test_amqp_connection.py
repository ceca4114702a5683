"""How to reach an event hub over AMQP: what the settings mean, and what is wrong with them."""

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.eventhub.exceptions import AuthenticationError, ConnectError

from adapters.event_hub.amqp_checkpoints import open_checkpoints
from adapters.event_hub.amqp_connection import AmqpConnection
from adapters.event_hub.amqp_errors import translated
from adapters.event_hub.amqp_source import AmqpSource
from adapters.event_hub.amqp_writer import AmqpWriter
from adapters.event_hub.messages import MAX_REQUEST_BYTES, Outgoing
from adapters.event_hub.opening import open_source, open_writer
from scoring.errors import BrokerUnavailable, ConfigurationError, InputError, TrilaneError

NAMESPACE = "x.servicebus.windows.net"
SECRET = f"Endpoint=sb://{NAMESPACE}/;SharedAccessKeyName=n;SharedAccessKey=hush"
LOCAL = "Endpoint=sb://127.0.0.1:5999;SharedAccessKeyName=n;SharedAccessKey=hush;"


@pytest.mark.parametrize(
    ("settings", "servers", "secured"),
    [
        ({"connection_string": SECRET}, f"{NAMESPACE}:5671", True),
        ({"connection_string": SECRET + ";EntityPath=h"}, f"{NAMESPACE}:5671", True),
        ({"connection_string": SECRET, "websockets": True}, f"{NAMESPACE}:443", True),
        ({"connection_string": LOCAL}, "127.0.0.1:5999", True),
        (
            {"connection_string": LOCAL + "UseDevelopmentEmulator=true"},
            "127.0.0.1:5999",
            False,
        ),
        ({"namespace": NAMESPACE, "workload_identity": True}, f"{NAMESPACE}:5671", True),
        (
            {"namespace": "h:1", "workload_identity": True, "tls": False},
            "h:1",
            False,
        ),
    ],
)
def test_servers_follow_the_sign_in(
    settings: dict[str, object], servers: str, secured: bool
) -> None:
    """The host is that of the connection string or the namespace, the port that of the transport;
    it is TLS, except with a local stand-in.
    """
    connection = AmqpConnection(**settings)  # type: ignore[arg-type]
    assert connection.servers == (servers,)
    assert connection.secured is secured
    assert "hush" not in repr(connection)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "needs an Event Hubs connection string or workload identity"),
        ({"namespace": NAMESPACE}, "needs an Event Hubs connection string or workload identity"),
        ({"workload_identity": True}, "needs the Event Hubs namespace"),
        ({"workload_identity": True, "namespace": f"sb://{NAMESPACE}"}, "malformed"),
        ({"workload_identity": True, "namespace": f"{NAMESPACE}/hub"}, "malformed"),
        (
            {"workload_identity": True, "namespace": NAMESPACE, "connection_string": SECRET},
            "exclude another",
        ),
        ({"connection_string": "hush"}, "malformed"),
        ({"connection_string": "Endpoint=hush;SharedAccessKey=hush"}, "malformed"),
        ({"connection_string": "SharedAccessKeyName=n;SharedAccessKey=hush"}, "malformed"),
        ({"connection_string": f"{SECRET};Endpoint=sb://hush"}, "malformed"),
        ({"connection_string": f"Endpoint=sb://{NAMESPACE}/"}, "malformed"),
        ({"connection_string": f"Endpoint=sb://{NAMESPACE}/;SharedAccessKey=hush"}, "malformed"),
    ],
)
def test_contradictions_are_configuration_errors(settings: dict[str, object], text: str) -> None:
    """The text says what is wrong and repeats no secret."""
    with pytest.raises(ConfigurationError, match=text) as caught:
        AmqpConnection(**settings)  # type: ignore[arg-type]
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("storage", "text"),
    [
        ({}, "needs a storage URL"),
        ({"storage_url": "var/storage"}, "needs a storage URL"),
        ({"storage_url": "file:///var/storage"}, "needs a storage URL"),
        ({"storage_url": "abfs://container/path"}, "needs a storage URL"),
        ({"storage_connection_string": "hush"}, "storage connection string is malformed"),
        ({"storage_connection_string": "AccountKey=hush"}, "connection string is malformed"),
    ],
)
async def test_checkpoints_need_a_place(storage: dict[str, str], text: str) -> None:
    """Without a storage account there is none; the text repeats no secret."""
    connection = AmqpConnection(connection_string=SECRET, **storage)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=text) as caught:
        await open_checkpoints(connection, None)
    assert "hush" not in str(caught.value)


async def test_opening_chooses_the_protocol_and_connects_to_nothing() -> None:
    """A source and a writer can be made, and stopped, without a hub."""
    connection = AmqpConnection(connection_string=SECRET)
    source, writer = open_source(connection, "h", "g", 10), open_writer(connection, ["h"])
    assert isinstance(source, AmqpSource)
    assert isinstance(writer, AmqpWriter)
    assert await source.lag() == {}
    await source.stop()
    await writer.close()


async def test_a_writer_outside_of_its_block_says_so() -> None:
    """Writing without a connection is a mistake of the caller; what is too large, one of the data,
    with nothing sent.
    """
    writer = AmqpWriter(AmqpConnection(connection_string=SECRET), ["h"])
    with pytest.raises(RuntimeError, match="async with"):
        await writer.write([Outgoing("h", None, b"x")])
    with pytest.raises(InputError, match="an event for h exceeds"):
        await writer.write([Outgoing("h", None, b"x" * MAX_REQUEST_BYTES)])


@pytest.mark.parametrize("secret", [None, SECRET])
async def test_clients_are_made_without_connecting(secret: str | None) -> None:
    """With either way to sign in."""
    connection = AmqpConnection(NAMESPACE, secret, workload_identity=secret is None)
    credential = connection.credential()
    assert (credential is None) == (secret is not None)
    async with (
        connection.consumer("h", "g", credential) as consumer,
        connection.producer("h", credential) as producer,
    ):
        assert consumer.eventhub_name == producer.eventhub_name == "h"
    if credential is not None:
        await credential.close()


class _StatusError(Exception):
    def __init__(self, status_code: int | None) -> None:
        super().__init__("from the AMQP library")
        self.status_code = status_code


def _raised(status_code: int | None) -> Exception:
    """As the SDK raises its errors: while it handles those of its AMQP library."""
    try:
        try:
            raise _StatusError(status_code)
        except _StatusError:
            raise AuthenticationError("CBS Token authentication failed.\nStatus: 401") from None
    except AuthenticationError as error:
        return error


@pytest.mark.parametrize(
    ("error", "connecting", "expected"),
    [
        (_raised(401), True, ConfigurationError),
        (_raised(401), False, BrokerUnavailable),
        (_raised(403), True, ConfigurationError),
        (_raised(503), True, BrokerUnavailable),
        (_raised(None), True, BrokerUnavailable),
        (AuthenticationError("the gateway did not answer"), True, BrokerUnavailable),
        (ConnectError("nobody listens"), True, BrokerUnavailable),
        (ClientAuthenticationError("no token"), True, BrokerUnavailable),
        (OSError("reset"), True, BrokerUnavailable),
        (TimeoutError(), True, BrokerUnavailable),
    ],
)
def test_errors_are_sorted_by_what_the_caller_must_do(
    error: Exception, connecting: bool, expected: type[TrilaneError]
) -> None:
    """A refused sign-in is terminal when it is the first; the rest may pass. In one line."""
    connection = AmqpConnection(connection_string=SECRET)
    with (
        pytest.raises(expected, match=f"{NAMESPACE}:5671") as caught,
        translated(connection, connecting),
    ):
        raise error
    assert type(error).__name__ in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is error


def test_a_token_that_was_not_taken_gets_a_hint() -> None:
    """The SDK does not say why; the reader should know where to look."""
    with (
        pytest.raises(BrokerUnavailable, match="a wrong key, no right, or no such hub"),
        translated(AmqpConnection(connection_string=SECRET), connecting=True),
    ):
        raise _raised(None)


async def test_what_is_no_client_error_passes() -> None:
    """A mistake of our own is not taken for an outage."""
    with pytest.raises(KeyError), translated(AmqpConnection(connection_string=SECRET)):
        raise KeyError("x")
