"""How to reach an event hub over AMQP 1.0, through azure-eventhub."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from azure.core.utils import parse_connection_string
from azure.eventhub import TransportType
from azure.eventhub.aio import CheckpointStore, EventHubConsumerClient, EventHubProducerClient

from scoring.errors import ConfigurationError

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

CONNECT_SECONDS: Final = 60.0

_SESSION_SECONDS: Final = 30.0
_ROUNDS_PER_SESSION: Final = 3
# The SDK's own pauses add up to half a minute; whoever uses it tries again anyway.
_RETRIES: Final[dict[str, Any]] = {"retry_total": 3, "retry_backoff_factor": 0.2}
# How long the SDK waits for the next frame when its prefetched events end in the middle of a read.
# Only then does it ask for more, so its own 0.2 s (1 s through WebSockets) would delay events.
_FRAME_SECONDS: Final = 0.05
_AMQP_PORT: Final = 5671
_WEBSOCKET_PORT: Final = 443


@dataclass(frozen=True, slots=True)
class AmqpConnection:
    """How to reach the event hub, and where a consumer group keeps its checkpoints.

    Signs in with a `connection_string` (secret) of the namespace, or, with `workload_identity`, to
    `namespace` with tokens of Entra ID. With `websockets` everything goes through port 443; then
    `gateway` (`https://host:port`) names where, if not at the namespace itself. `tls` False is for
    a stand-in without TLS; a connection string says so itself (`UseDevelopmentEmulator=true`).

    A member of a consumer group that does not renew its claims for `session_seconds` (None: 30)
    loses them. They are in the `checkpoint_container` of an Azure storage account: that of the
    `storage_connection_string` (secret), else that of the `storage_url` (abfs:), signed in to with
    the same identity.
    """

    namespace: str | None = None
    connection_string: str | None = field(default=None, repr=False)
    workload_identity: bool = False
    websockets: bool = False
    session_seconds: float | None = None
    storage_url: str | None = None
    storage_connection_string: str | None = field(default=None, repr=False)
    checkpoint_container: str = "checkpoints"
    gateway: str | None = None
    tls: bool = True

    def __post_init__(self) -> None:
        """Raises ConfigurationError when the settings contradict each other, or one is missing."""
        if self.workload_identity:
            if self.connection_string is not None:
                raise ConfigurationError(
                    "a connection string and a workload identity exclude another"
                )
            if self.namespace is None:
                raise ConfigurationError("workload identity needs the Event Hubs namespace")
        elif self.connection_string is None:
            raise ConfigurationError(
                "transport amqp needs an Event Hubs connection string or workload identity"
            )
        if not self._host():
            raise ConfigurationError(
                "the Event Hubs connection string or namespace is malformed: no host in it"
            )
        if self.connection_string is not None and not _signs_in(self._parts()):
            raise ConfigurationError(
                "the Event Hubs connection string is malformed: no shared access key in it"
            )

    @property
    def servers(self) -> tuple[str, ...]:
        """host:port, one."""
        host = self._host()
        if urlsplit(f"//{host}").port is not None:
            return (host,)
        return (f"{host}:{_WEBSOCKET_PORT if self.websockets else _AMQP_PORT}",)

    @property
    def secured(self) -> bool:
        """Whether it is TLS."""
        return self.tls and self._parts().get("usedevelopmentemulator") != "true"

    @property
    def session(self) -> float:
        """Seconds without renewal after which claims are lost."""
        return self.session_seconds or _SESSION_SECONDS

    def credential(self) -> "AsyncTokenCredential | None":
        """What signs in to Azure; the caller closes it. None with a connection string. Raises
        ConfigurationError.
        """
        if not self.workload_identity:
            return None
        from adapters.identity import azure_credential

        return azure_credential()

    def producer(
        self, hub: str, credential: "AsyncTokenCredential | None"
    ) -> EventHubProducerClient:
        """A client that publishes to a hub; connects on first use."""
        if self.connection_string is not None:
            return EventHubProducerClient.from_connection_string(
                self.connection_string, eventhub_name=hub, **self._options()
            )
        assert self.namespace is not None  # noqa: S101 (checked when it was made)
        assert credential is not None  # noqa: S101 (the caller has it from `credential`)
        return EventHubProducerClient(self.namespace, hub, credential, **self._options())

    def consumer(
        self,
        hub: str,
        group: str,
        credential: "AsyncTokenCredential | None",
        store: CheckpointStore | None = None,
    ) -> EventHubConsumerClient:
        """A client that consumes a hub; connects on first use. With a `store` the members of the
        group share the partitions.
        """
        options: dict[str, Any] = self._options() | {
            "checkpoint_store": store,
            "load_balancing_interval": self.session / _ROUNDS_PER_SESSION,
            "partition_ownership_expiration_interval": self.session,
        }
        if self.connection_string is not None:
            return EventHubConsumerClient.from_connection_string(
                self.connection_string, group, eventhub_name=hub, **options
            )
        assert self.namespace is not None  # noqa: S101
        assert credential is not None  # noqa: S101
        return EventHubConsumerClient(self.namespace, hub, group, credential, **options)

    def _options(self) -> dict[str, Any]:
        kind = TransportType.AmqpOverWebsocket if self.websockets else TransportType.Amqp
        options: dict[str, Any] = {
            "transport_type": kind,
            "user_agent": "trilane",
            "socket_timeout": _FRAME_SECONDS,
            **_RETRIES,
        }
        if self.gateway is not None:
            options["custom_endpoint_address"] = self.gateway
        if not self.tls:
            options["use_tls"] = False
        return options

    def _host(self) -> str:
        if self.connection_string is None:
            namespace = self.namespace or ""
            return namespace if _is_host(namespace) else ""
        endpoint = self._parts().get("endpoint", "")
        return urlsplit(endpoint).netloc if "//" in endpoint else ""

    def _parts(self) -> dict[str, str]:
        """Of the connection string, by lower-case name."""
        try:
            return dict(parse_connection_string(self.connection_string or "", False))
        except ValueError:  # its text may hold a secret
            return {}


def _signs_in(parts: dict[str, str]) -> bool:
    named = "sharedaccesskeyname" in parts and "sharedaccesskey" in parts
    return named or "sharedaccesssignature" in parts


def _is_host(text: str) -> bool:
    parts = urlsplit(f"//{text}")
    return parts.netloc == text and bool(parts.hostname) and "@" not in text
