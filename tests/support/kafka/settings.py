"""The broker's configuration: small and quick, and where it matters as strict as Event Hubs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.kafka.access import AUDIENCE, ISSUER, USER

# Event Hubs closes the connection on a larger request ("Apache Kafka client configurations for
# Azure Event Hubs", learn.microsoft.com).
MAX_REQUEST_BYTES = 1_046_528

_MODULE = "org.apache.kafka.common.security"


@dataclass(frozen=True, slots=True)
class Ports:
    """Of 127.0.0.1: without and with TLS and SASL, and the controller's."""

    plain: int
    secure: int
    controller: int


@dataclass(frozen=True, slots=True)
class Files:
    """Where everything of one broker lies."""

    directory: Path

    @property
    def data(self) -> Path:
        """Topics and metadata."""
        return self.directory / "data"

    @property
    def properties(self) -> Path:
        """The configuration."""
        return self.directory / "server.properties"

    @property
    def log(self) -> Path:
        """What the broker says."""
        return self.directory / "server.log"

    @property
    def ca(self) -> Path:
        """The authority's certificate."""
        return self.directory / "ca.pem"

    @property
    def key_store(self) -> Path:
        """The broker's key and certificate."""
        return self.directory / "broker.pem"

    @property
    def key_set(self) -> Path:
        """The keys of tokens."""
        return self.directory / "keys.json"


def properties(
    ports: Ports, files: Files, connection_string: str, changed: Mapping[str, str]
) -> str:
    """The text of server.properties; `changed` settings replace those here."""
    settings = (
        _roles(ports, files)
        | _secure_listener(files, connection_string)
        | _LIMITS
        | _ONE_NODE
        | _SMALL
        | dict(changed)
    )
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _roles(ports: Ports, files: Files) -> dict[str, str]:
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{ports.controller}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAIN",
        "listeners": f"PLAIN://127.0.0.1:{ports.plain},SECURE://127.0.0.1:{ports.secure},"
        f"CONTROLLER://127.0.0.1:{ports.controller}",
        "listener.security.protocol.map": "PLAIN:PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:PLAINTEXT",
        "log.dirs": str(files.data),
    }


def _secure_listener(files: Files, connection_string: str) -> dict[str, str]:
    listener = "listener.name.secure"
    token = f"{_MODULE}.oauthbearer"
    return {
        f"{listener}.ssl.keystore.type": "PEM",
        f"{listener}.ssl.keystore.location": str(files.key_store),
        f"{listener}.sasl.enabled.mechanisms": "PLAIN,OAUTHBEARER",
        f"{listener}.plain.sasl.jaas.config": f"{_MODULE}.plain.PlainLoginModule required "
        f'user_{USER}="{connection_string}";',
        f"{listener}.oauthbearer.sasl.jaas.config": f"{token}.OAuthBearerLoginModule required;",
        f"{listener}.oauthbearer.sasl.server.callback.handler.class": f"{token}"
        ".OAuthBearerValidatorCallbackHandler",
        f"{listener}.oauthbearer.sasl.oauthbearer.jwks.endpoint.url": files.key_set.as_uri(),
        f"{listener}.oauthbearer.sasl.oauthbearer.expected.audience": AUDIENCE,
        f"{listener}.oauthbearer.sasl.oauthbearer.expected.issuer": ISSUER,
    }


_LIMITS = {
    "auto.create.topics.enable": "false",
    "message.max.bytes": str(MAX_REQUEST_BYTES),
    "socket.request.max.bytes": str(MAX_REQUEST_BYTES),
}

_ONE_NODE = {
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # A broker that was killed registers again when the session of the killed one is over.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
}

_SMALL = {
    "num.network.threads": "1",
    "num.io.threads": "2",
    "num.recovery.threads.per.data.dir": "1",
    "background.threads": "2",
    "log.cleaner.dedupe.buffer.size": str(2 << 20),
}
