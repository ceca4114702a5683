"""What the SDK gets over by itself, and what it does not."""

import pytest
from azure.eventhub.exceptions import (
    AuthenticationError,
    ConnectError,
    ConnectionLostError,
    EventHubError,
)

from adapters.event_hub.amqp_troubles import PATIENCE_SECONDS, Troubles
from scoring.errors import ConfigurationError, InputError


class Clock:
    """Stands still."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def raised(error: EventHubError, cause: Exception | None = None, condition: str = "") -> Exception:
    """As the SDK raises it, while it handles `cause`."""
    error.error = condition or None
    try:
        try:
            raise cause or ValueError
        except Exception:
            raise error from None
    except EventHubError as caught:
        if cause is None:
            caught.__context__ = None
        return caught


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


@pytest.fixture
def troubles(clock: Clock) -> Troubles:
    """Nothing yet."""
    return Troubles("hub", clock)


@pytest.mark.parametrize(
    "error",
    [
        raised(ConnectError("refused"), OSError("refused")),
        raised(ConnectionLostError("detached"), None, "link:detach-forced"),
        raised(AuthenticationError("no gateway")),
        raised(EventHubError("timed out"), TimeoutError()),
        OSError("reset"),
    ],
)
def test_an_outage_may_take_long(troubles: Troubles, clock: Clock, error: Exception) -> None:
    """The SDK tries again for ever, and that is right."""
    for _ in range(10):
        assert troubles.failed("0", error) is None
        clock.now += PATIENCE_SECONDS


@pytest.mark.parametrize(
    "condition", ["unauthorized-access", "not-found", "argument-error", "argument-out-of-range"]
)
def test_a_refusal_counts_when_it_lasts(troubles: Troubles, clock: Clock, condition: str) -> None:
    """It may also be an upgrade of the service; after a minute nobody will get over it."""
    error = raised(ConnectionLostError("first line\nsecond"), None, condition)
    assert troubles.failed("0", error) is None
    clock.now += PATIENCE_SECONDS - 1
    assert troubles.failed("0", error) is None
    assert troubles.failed("1", error) is None
    clock.now += 1
    found = troubles.failed("0", error)
    assert isinstance(found, ConfigurationError)
    assert str(found) == ("partition 0 of hub cannot be read: ConnectionLostError: first line")
    assert troubles.failed("1", error) is None


class _RefusedError(Exception):
    status_code = None


def test_a_token_that_is_not_taken_counts_too(troubles: Troubles, clock: Clock) -> None:
    """Whatever the SDK says of it."""
    error = raised(AuthenticationError("not taken"), _RefusedError())
    assert troubles.failed("0", error) is None
    clock.now += PATIENCE_SECONDS
    assert isinstance(troubles.failed("0", error), ConfigurationError)


def test_an_event_ends_the_trouble(troubles: Troubles, clock: Clock) -> None:
    """And so does an error of another kind: then it is not that refusal that lasts."""
    error = raised(ConnectError("gone"), None, "not-found")
    outage = raised(ConnectError("refused"), OSError())
    for event in (True, False):
        assert troubles.failed("0", error) is None
        clock.now += PATIENCE_SECONDS
        if event:
            troubles.over("0")
        else:
            troubles.failed("0", outage)
        assert troubles.failed("0", error) is None
        clock.now += PATIENCE_SECONDS
        assert troubles.failed("0", error) is not None
        troubles.over("0")


@pytest.mark.parametrize("cause", [TypeError("NoneType"), IndexError(), ValueError("x")])
def test_an_event_that_cannot_be_decoded_stops_at_the_third_time(
    troubles: Troubles, cause: Exception
) -> None:
    """The SDK would receive it again for ever. The text holds nothing of the event."""
    error = raised(EventHubError("what it was"), cause)
    assert troubles.failed("2", error) is None
    assert troubles.failed("2", error) is None
    found = troubles.failed("2", error)
    assert isinstance(found, InputError)
    assert str(found) == (
        "partition 2 of hub holds an event that this client cannot decode: " + type(cause).__name__
    )
