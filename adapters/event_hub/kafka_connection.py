"""How to reach an event hub over the Kafka protocol.

Client options are those that Event Hubs prescribes ("Apache Kafka client configurations for Azure
Event Hubs", learn.microsoft.com). Any other Kafka-protocol broker takes them too.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from aiokafka.errors import KafkaError
from faststream.security import BaseSecurity, SASLOAuthBearer, SASLPlaintext

from adapters.event_hub.messages import named
from scoring.errors import BrokerUnavailable, ConfigurationError

SecurityProtocol = Literal["auto", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]

MAX_POLL_SECONDS: Final = 300.0
"""A consumer that does not fetch for longer is put out of its group."""

_SECURE_SESSION_SECONDS: Final = 30.0
_PLAIN_SESSION_SECONDS: Final = 6.0
_CLIENT_ID: Final = "trilane"


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """How to reach the event hub.

    `bootstrap_servers` is host:port, several with commas. With a `connection_string` (secret) the
    client signs in as Event Hubs asks: SASL PLAIN, user `$ConnectionString`. With
    `workload_identity` it signs in with tokens of Entra ID: SASL OAUTHBEARER. `security_protocol`
    "auto" is SASL_SSL when it signs in and PLAINTEXT when not. `session_seconds` None is 30 when
    it signs in and 6 when not: joining a group takes up to half of it on some brokers.
    """

    bootstrap_servers: str
    connection_string: str | None = field(default=None, repr=False)
    security_protocol: SecurityProtocol = "auto"
    session_seconds: float | None = None
    workload_identity: bool = False

    def __post_init__(self) -> None:
        """Raises ConfigurationError when the settings contradict each other."""
        if self.workload_identity and self.connection_string is not None:
            raise ConfigurationError("a connection string and a workload identity exclude another")
        sasl = "SASL" in self.security_protocol
        if self.security_protocol != "auto" and self.signs_in != sasl:
            raise ConfigurationError(
                f"security protocol {self.security_protocol} "
                + ("takes no" if self.signs_in else "needs a")
                + " connection string or workload identity"
            )

    @property
    def signs_in(self) -> bool:
        """Whether the client says who it is."""
        return self.workload_identity or self.connection_string is not None

    @property
    def servers(self) -> tuple[str, ...]:
        """host:port of each."""
        return tuple(server.strip() for server in self.bootstrap_servers.split(","))

    @property
    def secured(self) -> bool:
        """Whether it is TLS."""
        chosen = self.security_protocol in ("SSL", "SASL_SSL")
        return chosen or (self.signs_in and self.security_protocol == "auto")

    def security(self) -> BaseSecurity | None:
        """FastStream's form of it; None for a plain connection."""
        secure = self.secured
        context = ssl.create_default_context() if secure else None
        if self.workload_identity:
            return SASLOAuthBearer(use_ssl=secure, ssl_context=context)
        if self.connection_string is not None:
            user = "$ConnectionString"
            return SASLPlaintext(user, self.connection_string, use_ssl=secure, ssl_context=context)
        return BaseSecurity(context, use_ssl=True) if secure else None

    def token_options(self) -> dict[str, Any]:
        """Where consumers and producers get tokens, when they sign in with them. Raises
        ConfigurationError without the packages.
        """
        if not self.workload_identity:
            return {}
        from adapters.event_hub.kafka_tokens import EntraTokens

        return {"sasl_oauth_token_provider": EntraTokens(self.bootstrap_servers)}

    def client_options(self) -> dict[str, Any]:
        """What consumers and producers share, except security."""
        return {
            "bootstrap_servers": list(self.servers),
            "client_id": _CLIENT_ID,
            "metadata_max_age_ms": 180_000,
            "connections_max_idle_ms": 180_000,
            "request_timeout_ms": 60_000,
        }

    def group_options(self) -> dict[str, Any]:
        """What members of a consumer group need besides."""
        default = _SECURE_SESSION_SECONDS if self.signs_in else _PLAIN_SESSION_SECONDS
        seconds = self.session_seconds or default
        return {
            "session_timeout_ms": int(seconds * 1000),
            "heartbeat_interval_ms": int(min(3.0, seconds / 3) * 1000),
            "max_poll_interval_ms": int(MAX_POLL_SECONDS * 1000),
        }


@contextmanager
def translated(bootstrap_servers: str) -> Iterator[None]:
    """Turns the client's errors into BrokerUnavailable."""
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerUnavailable(
            f"the event hub at {bootstrap_servers} did not answer as it should: {named(error)}"
        ) from error
