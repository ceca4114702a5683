"""Tokens for the Kafka protocol: when they are asked for, and what happens when there is none."""

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka.errors import KafkaConnectionError

from adapters.event_hub.kafka_tokens import EntraTokens
from adapters.identity import Token
from scoring.errors import BrokerUnavailable, ConfigurationError, ServiceUnavailable, TrilaneError
from tests.support.identity import Clock

HOST = "name.servicebus.windows.net"
AWAY = ServiceUnavailable("Entra ID is away")


class Authority:
    """Gives numbered tokens that are valid for so many seconds; fails while `failure` is set."""

    def __init__(self, clock: Clock, seconds: float = 3600) -> None:
        self.clock = clock
        self.seconds = seconds
        self.failure: TrilaneError | None = None
        self.asked: list[str] = []

    async def fetch(self, scope: str) -> Token:
        """One token."""
        self.asked.append(scope)
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        return Token(f"token-{len(self.asked)}", self.clock.timer() + self.seconds)


def tokens_of(authority: Authority, servers: str = f"{HOST}:9093") -> EntraTokens:
    """A provider that asks this authority."""
    return EntraTokens(servers, authority.fetch, authority.clock.timer)


@pytest.mark.parametrize("servers", [f"{HOST}:9093", f" {HOST}:9093 , other:9093"])
async def test_the_scope_is_the_namespace(servers: str) -> None:
    """A token is asked for the first server, without its port."""
    authority = Authority(Clock())
    assert await tokens_of(authority, servers).token() == "token-1"
    assert authority.asked == [f"https://{HOST}/.default"]


async def test_connections_share_a_token() -> None:
    """Connections that are opened together or later ask once."""
    authority = Authority(Clock())
    tokens = tokens_of(authority)
    assert set(await asyncio.gather(*(tokens.token() for _ in range(5)))) == {"token-1"}
    authority.clock.pass_seconds(3299)
    assert await tokens.token() == "token-1"
    assert len(authority.asked) == 1


async def test_a_token_is_renewed_before_it_expires() -> None:
    """From five minutes before on."""
    authority = Authority(Clock())
    tokens = tokens_of(authority)
    await tokens.token()
    authority.clock.pass_seconds(3301)
    assert await tokens.token() == "token-2"


async def test_a_token_that_cannot_be_renewed_is_used_while_it_is_valid() -> None:
    """An authority that is away for a few minutes is not noticed."""
    authority = Authority(Clock())
    tokens = tokens_of(authority)
    await tokens.token()
    authority.failure = AWAY
    authority.clock.pass_seconds(3599)
    assert await tokens.token() == "token-1"
    authority.failure = None
    authority.clock.pass_seconds(11)
    assert await tokens.token() == "token-3"


async def test_without_a_valid_token_the_client_tries_again() -> None:
    """A running client hears of a connection that failed, not of an error that ends its tasks."""
    authority = Authority(Clock())
    tokens = tokens_of(authority)
    await tokens.token()
    authority.failure = AWAY
    authority.clock.pass_seconds(3600)
    with pytest.raises(KafkaConnectionError, match="Entra ID is away") as caught:
        await tokens.token()
    assert "token-1" not in str(caught.value)
    authority.failure = None
    authority.clock.pass_seconds(10)
    assert await tokens.token() == "token-3"


async def test_a_client_that_starts_hears_why() -> None:
    """Without a first token the reason goes to whoever starts the client."""
    authority = Authority(Clock())
    authority.failure = AWAY
    with pytest.raises(BrokerUnavailable, match=r"signing in .* failed: Entra ID is away"):
        await tokens_of(authority).token()


async def test_attempts_are_paused() -> None:
    """However often the client asks, the authority is asked every ten seconds at most."""
    authority = Authority(Clock())
    tokens = tokens_of(authority)
    authority.failure = AWAY
    seen = await attempts(tokens, authority, [0, 3, 6, 1, 9, 1])
    assert seen == [1, 1, 1, 2, 2, 3]


async def test_a_setting_that_is_wrong_is_not_tried_again() -> None:
    """What a person has to repair passes as it is."""
    authority = Authority(Clock())
    authority.failure = ConfigurationError("a setting")
    with pytest.raises(ConfigurationError, match="a setting"):
        await tokens_of(authority).token()


def test_what_is_missing_is_said_before_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that cannot be is an error of the connection's settings."""
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "http://127.0.0.1")
    with pytest.raises(ConfigurationError):
        EntraTokens(f"{HOST}:9093")


async def attempts(tokens: EntraTokens, authority: Authority, pauses: Sequence[float]) -> list[int]:
    """How often the authority was asked in all, after each pause and one failing attempt."""
    seen = []
    for pause in pauses:
        authority.clock.pass_seconds(pause)
        with pytest.raises(BrokerUnavailable):
            await tokens.token()
        seen.append(len(authority.asked))
    return seen
