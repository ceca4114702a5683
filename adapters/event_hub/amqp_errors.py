"""What azure-eventhub raises, told apart and translated."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp
from azure.core.exceptions import AzureError
from azure.eventhub.exceptions import AuthenticationError, EventHubError

from adapters.event_hub.amqp_connection import AmqpConnection
from scoring.errors import BrokerUnavailable, ConfigurationError

CLIENT_ERRORS: Final = (EventHubError, AzureError, aiohttp.ClientError, OSError, TimeoutError)

_REFUSED: Final = (401, 403)


@contextmanager
def translated(connection: AmqpConnection, connecting: bool = False) -> Iterator[None]:
    """Turns the client's errors into BrokerUnavailable; while `connecting`, a sign-in that was
    certainly refused into ConfigurationError.
    """
    where = ", ".join(connection.servers)
    try:
        yield
    except CLIENT_ERRORS as error:
        if connecting and is_refused(error):
            raise ConfigurationError(
                f"the event hub at {where} refused the sign-in: {in_a_line(error)}"
            ) from error
        hint = " (a wrong key, no right, or no such hub?)" if is_token_refused(error) else ""
        raise BrokerUnavailable(
            f"the event hub at {where} did not answer as it should: {in_a_line(error)}{hint}"
        ) from error


def is_refused(error: BaseException) -> bool:
    """Whether the hub does not let in whoever signs in; trying again at once will not help."""
    refused = is_token_refused(error) and getattr(error.__context__, "status_code", 0) in _REFUSED
    return refused or condition(error) == "unauthorized-access"


def is_token_refused(error: BaseException) -> bool:
    """Whether the hub did not take the token, for whatever reason. The SDK mostly forgets which: it
    may be a hub that does not exist, or an outage.
    """
    # The client raises its own error while it handles the one of its AMQP library.
    return isinstance(error, AuthenticationError) and hasattr(error.__context__, "status_code")


def condition(error: BaseException) -> str:
    """The condition of an AMQP error without its first part: `link:stolen`; empty for others."""
    found = error.error if isinstance(error, EventHubError) else None
    return found or ""


def in_a_line(error: BaseException) -> str:
    """A client error: its type and the first line of its text that says more."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith("Error condition:")] or lines
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
