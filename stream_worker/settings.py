"""What `trilane stream` and `trilane publish` take."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import AwareDatetime, Field
from pydantic_settings import CliPositionalArg

from adapters.hub_settings import HubSettings, ResultSettings
from adapters.settings import StorageSettings

if TYPE_CHECKING:
    from adapters.event_hub.opening import Connection


class EventsSettings(HubSettings):
    """Where events are."""

    events_hub: str = Field("employee-events", min_length=1, description="Hub of the events.")


class AnswerSettings(ResultSettings, EventsSettings):
    """Where events, scores and dead letters are."""

    dead_letters_hub: str = Field(
        "dead-letters", min_length=1, description="Hub of the rejected events."
    )


class StreamSettings(StorageSettings, AnswerSettings):
    """Settings of the stream worker."""

    bundle: Path = Field(
        description="Bundle directory of the model to score with, or of several: the champion."
    )
    consumer_group: str = Field("trilane", min_length=1, description="Consumer group.")
    session_timeout_seconds: float | None = Field(
        None,
        ge=0.5,
        le=300,
        description="Silence after which the group drops this worker; 30 on Event Hubs, else 6.",
    )
    checkpoint_container: str = Field(
        "checkpoints",
        min_length=3,
        description="amqp: blob container for checkpoints, in the account of the storage URL.",
    )
    max_records: int = Field(500, ge=1, le=100_000, description="Events per batch at most.")
    max_in_flight: int = Field(
        20_000, ge=1, le=1_000_000, description="Events taken and not yet committed, at most."
    )
    max_event_bytes: int = Field(
        900_000, ge=65_536, le=900_000, description="Larger events become dead letters undecoded."
    )
    reasons: int = Field(
        0, ge=0, description="Reasons in each score: the features that moved it most; 0 for none."
    )
    max_rejected_share: float = Field(
        0.5, gt=0, le=1, description="Share of rejected events that stops the worker; 1 for none."
    )
    max_rejected_run: int = Field(
        1_000, ge=0, description="Rejected events in a row that stop the worker; 0 for no limit."
    )
    retry_seconds: float = Field(
        900, ge=0, description="How long results are offered to a hub or storage that fails."
    )
    stall_seconds: float = Field(
        300, ge=1, description="Without progress for so long while events wait, /livez fails."
    )
    probe_host: str = Field("127.0.0.1", description="Where the probes, metrics and pages listen.")
    probe_port: int = Field(8081, ge=0, le=65535, description="Their port; 0 takes a free one.")

    def connection(self) -> "Connection":
        """The connection with this worker's session timeout, and where its checkpoints are."""
        from dataclasses import replace

        from adapters.event_hub.kafka_connection import KafkaConnection

        connection = replace(super().connection(), session_seconds=self.session_timeout_seconds)
        if isinstance(connection, KafkaConnection):
            return connection
        return replace(
            connection,
            storage_url=self.storage_url,
            storage_connection_string=self.connection_string(),
            checkpoint_container=self.checkpoint_container,
        )


class PublishSettings(EventsSettings):
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
