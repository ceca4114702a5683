"""What `trilane stream` and `trilane publish` take."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import AwareDatetime, Field, SecretStr
from pydantic_settings import CliPositionalArg

from adapters.settings import AppSettings, StorageSettings

if TYPE_CHECKING:
    from adapters.event_hub import Connection

_SecurityProtocol = Literal["auto", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]


class HubSettings(AppSettings):
    """How to reach the event hub."""

    bootstrap_servers: str = Field(
        min_length=1, description="host:port of the Kafka endpoint; several with commas."
    )
    event_hubs_connection_string: SecretStr | None = Field(
        None, description="Event Hubs connection string; turns on SASL PLAIN."
    )
    security_protocol: _SecurityProtocol = Field(
        "auto", description="auto: SASL_SSL with a connection string, else PLAINTEXT."
    )
    events_hub: str = Field("employee-events", min_length=1, description="Hub of the events.")

    def connection(self) -> "Connection":
        """The connection these settings describe; an empty connection string is none.

        Raises ConfigurationError when they contradict each other.
        """
        from adapters.event_hub import Connection

        secret = self.event_hubs_connection_string
        value = secret.get_secret_value() if secret is not None else ""
        return Connection(self.bootstrap_servers, value or None, self.security_protocol)


class StreamSettings(StorageSettings, HubSettings):
    """Settings of the stream worker."""

    bundle: Path = Field(
        description="Bundle directory of the model to score with, or of several: the champion."
    )
    scores_hub: str = Field("attrition-scores", min_length=1, description="Hub of the scores.")
    dead_letters_hub: str = Field(
        "dead-letters", min_length=1, description="Hub of the rejected events."
    )
    consumer_group: str = Field("trilane", min_length=1, description="Kafka consumer group.")
    session_timeout_seconds: float | None = Field(
        None,
        ge=0.5,
        le=300,
        description="Silence after which the group drops this worker; 30 on Event Hubs, else 6.",
    )
    max_records: int = Field(500, ge=1, le=100_000, description="Events per batch at most.")
    max_event_bytes: int = Field(
        900_000, ge=65_536, le=900_000, description="Larger events become dead letters undecoded."
    )
    reasons: int = Field(
        0, ge=0, description="Reasons in each score: the features that moved it most; 0 for none."
    )
    delivery_attempts: int = Field(
        5, ge=1, le=20, description="Tries to write one batch's results before exit code 75."
    )
    probe_host: str = Field(
        "127.0.0.1", description="Where /livez, /readyz, /metrics, /model listen."
    )
    probe_port: int = Field(8081, ge=0, le=65535, description="Their port; 0 takes a free one.")

    def connection(self) -> "Connection":
        """The connection with this worker's session timeout."""
        from dataclasses import replace

        return replace(super().connection(), session_seconds=self.session_timeout_seconds)


class PublishSettings(HubSettings):
    """Settings of the command that publishes records as events."""

    file: CliPositionalArg[str] = Field(
        description="CSV or JSON Lines file of records; - reads standard input."
    )
    bundle: Path | None = Field(
        None, description="Bundle whose signature types the cells; CSV needs it."
    )
    format: Literal["auto", "csv", "jsonl"] = Field(
        "auto", description="auto: by the file's ending; standard input is JSON Lines."
    )
    record_id_column: str = Field(
        min_length=1, description="Column or member with the record id: the event's subject."
    )
    event_time: AwareDatetime | None = Field(
        None, description="Time of the events, ISO 8601 with offset; now when absent."
    )
    event_type: str = Field("hr.employee.updated", min_length=1, description="CloudEvents type.")
    source: str = Field(
        "urn:trilane:publish", min_length=1, max_length=1024, description="CloudEvents source."
    )
    ids: Literal["derived", "random"] = Field(
        "derived", description="derived: from source, subject and time, so a rerun repeats them."
    )

    def time_of_events(self) -> datetime:
        """The time every event of this run carries, in UTC."""
        return (self.event_time or datetime.now(UTC)).astimezone(UTC)
