"""Tokens of Entra ID for the Kafka protocol: SASL OAUTHBEARER.

Event Hubs takes tokens for its own address: `https://NAMESPACE.servicebus.windows.net/.default`
("Authenticate an application with Microsoft Entra ID to access Event Hubs resources",
learn.microsoft.com). Host and scope of other clouds have the same form.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError

from adapters.identity import Token, azure_credential, azure_token
from scoring.errors import BrokerUnavailable, ServiceUnavailable

_RENEW_SECONDS: Final = 300.0
_PAUSE_SECONDS: Final = 10.0


class EntraTokens(AbstractTokenProvider):  # type: ignore[misc]
    """What aiokafka asks for a token whenever it opens a connection.

    Each token is used by all connections until five minutes before it expires; after that it is
    used on while there is no other, as long as it is valid. The identity is opened and closed for
    each token, about once an hour, so nothing has to be closed.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        fetch: Callable[[str], Awaitable[Token]] = azure_token,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`now` is in Unix seconds. Raises ConfigurationError as `azure_credential` does."""
        azure_credential()  # says what is missing before anything connects; opens nothing itself
        host = bootstrap_servers.split(",")[0].strip().rpartition(":")[0]
        self._scope = f"https://{host}/.default"
        self._fetch = fetch
        self._now = now
        self._lock = asyncio.Lock()
        self._held: Token | None = None
        self._pause_until = 0.0
        self._failure: ServiceUnavailable | None = None

    async def token(self) -> str:
        """A valid access token.

        When there is none, the first time, when the client starts, it raises BrokerUnavailable,
        which the client passes on. Later it raises KafkaConnectionError, which the client takes for
        a broker that does not answer, and tries again: any other error would end its tasks without
        a word. After a failure the next attempt waits ten seconds.
        """
        async with self._lock:
            held = self._held
            if held is None or held.expires_at - self._now() < _RENEW_SECONDS:
                await self._renew()
            if self._held is not None and self._now() < self._held.expires_at:
                return self._held.text
            text = f"signing in to the event hub failed: {self._failure}"
            if self._held is None:
                raise BrokerUnavailable(text) from self._failure
            raise KafkaConnectionError(text) from self._failure

    async def _renew(self) -> None:
        if self._now() < self._pause_until:
            return
        try:
            self._held = await self._fetch(self._scope)
        except ServiceUnavailable as error:
            self._failure = error
            self._pause_until = self._now() + _PAUSE_SECONDS
