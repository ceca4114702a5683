"""How commands reach the event hub, and where scores go."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field, SecretStr

from adapters.settings import AppSettings
from scoring.errors import ConfigurationError

if TYPE_CHECKING:
    from adapters.event_hub.amqp_connection import AmqpConnection
    from adapters.event_hub.opening import Connection

_SecurityProtocol = Literal["auto", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]


class HubSettings(AppSettings):
    """How to reach the event hub."""

    transport: Literal["kafka", "amqp"] = Field(
        "kafka", description="Protocol: kafka (Event Hubs Standard or above) or amqp (any tier)."
    )
    bootstrap_servers: str | None = Field(
        None, min_length=1, description="kafka: host:port of the endpoint; several with commas."
    )
    event_hubs_namespace: str | None = Field(
        None, min_length=1, description="amqp with workload identity: NAME.servicebus.windows.net."
    )
    event_hubs_connection_string: SecretStr | None = Field(
        None, description="Event Hubs connection string of the namespace; signs in with it."
    )
    workload_identity: bool = Field(
        False, description="Sign in to Event Hubs with workload identity, through azure-identity."
    )
    security_protocol: _SecurityProtocol = Field(
        "auto", description="kafka: auto is SASL_SSL when it signs in, else PLAINTEXT."
    )
    amqp_over_websockets: bool = Field(
        False, description="amqp: through port 443, where a firewall allows nothing else."
    )

    def connection(self) -> "Connection":
        """The connection these settings describe; an empty connection string is none.

        Raises ConfigurationError when they contradict each other, or when one is missing.
        """
        if self.transport == "amqp":
            return self._amqp()
        from adapters.event_hub.kafka_connection import KafkaConnection

        if self.bootstrap_servers is None:
            raise ConfigurationError("transport kafka needs --bootstrap-servers")
        return KafkaConnection(
            self.bootstrap_servers,
            self.hub_secret(),
            self.security_protocol,
            workload_identity=self.workload_identity,
        )

    def hub_secret(self) -> str | None:
        """The connection string in clear, for the SDK."""
        secret = self.event_hubs_connection_string
        return (secret.get_secret_value() if secret is not None else "") or None

    def _amqp(self) -> "AmqpConnection":
        from adapters.event_hub.amqp_connection import AmqpConnection

        return AmqpConnection(
            namespace=self.event_hubs_namespace,
            connection_string=self.hub_secret(),
            workload_identity=self.workload_identity,
            websockets=self.amqp_over_websockets,
        )


class ResultSettings(HubSettings):
    """Where scores are."""

    scores_hub: str = Field("attrition-scores", min_length=1, description="Hub of the scores.")
