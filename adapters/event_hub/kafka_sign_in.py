"""Signing in over the Kafka protocol, to learn whether the broker agrees and why not.

aiokafka's clients only say that they found no broker. A refused token they even take for an
accepted one: the broker says so in a challenge (RFC 7628, section 3.2.2), which they do not read,
and everything they ask afterwards is answered with nothing.
"""

from typing import Final

from aiokafka.conn import AIOKafkaConnection, OAuthAuthenticator, collect_hosts
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from faststream.kafka.security import parse_security

from adapters.event_hub.kafka_connection import KafkaConnection, translated
from adapters.event_hub.messages import named
from scoring.errors import BrokerUnavailable

_REFUSALS: Final = (SaslAuthenticationFailed, UnsupportedSaslMechanismError, IllegalSaslStateError)
_MAX_REASON_CHARACTERS: Final = 300


async def check_sign_in(connection: KafkaConnection) -> None:
    """Returns when one of the bootstrap servers takes the identity; at once if there is none.

    Raises BrokerUnavailable, with the broker's words, when one refuses it (a role may still be on
    its way), or when none answers; ConfigurationError without the packages.
    """
    if not connection.signs_in:
        return
    options = connection.client_options()
    options |= parse_security(connection.security()) | connection.token_options()
    servers = options.pop("bootstrap_servers")
    options["max_idle_ms"] = options.pop("connections_max_idle_ms")
    del options["metadata_max_age_ms"]
    failure: BaseException | None = None
    for host, port, _ in collect_hosts(servers):
        try:
            await _sign_in(_Connection(host, port, **options))
        except _REFUSALS as error:
            reason = named(error)[:_MAX_REASON_CHARACTERS]
            text = f"the event hub at {host}:{port} refused the sign-in: {reason}"
            raise BrokerUnavailable(text) from error
        except (KafkaError, OSError, TimeoutError) as error:
            failure = error
        else:
            return
    with translated(connection.bootstrap_servers):
        raise failure or TimeoutError


async def _sign_in(connection: AIOKafkaConnection) -> None:
    await connection.connect()  # closes itself when that fails
    connection.close()


class _Connection(AIOKafkaConnection):  # type: ignore[misc]
    def authenticator_oauth(self) -> "_Authenticator":
        return _Authenticator(sasl_oauth_token_provider=self._sasl_oauth_token_provider)


class _Authenticator(OAuthAuthenticator):  # type: ignore[misc]
    """Answers a challenge as RFC 7628 wants it, which makes the broker say what is wrong."""

    async def step(self, payload: bytes | None) -> tuple[bytes, bool] | None:
        if payload:
            return b"\x01", True
        step: tuple[bytes, bool] | None = await super().step(payload)
        return step
