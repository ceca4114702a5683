"""What `trilane replay` takes."""

from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field

from adapters.settings import StorageSettings
from scoring.errors import ConfigurationError
from stream_worker.replay.filters import Filters
from stream_worker.settings import AnswerSettings

Code = Literal[
    "malformed",
    "missing_field",
    "unknown_field",
    "null_value",
    "wrong_type",
    "out_of_range",
    "not_finite",
    "invalid_record_id",
    "too_large",
    "model_error",
]
"""The codes of dead letters."""


class ReplaySettings(StorageSettings, AnswerSettings):
    """Settings of the command that scores dead letters again."""

    events_hub: str = Field(
        "employee-events",
        min_length=1,
        description="With --hub-partition: the hub that the events came from.",
    )
    bundle: Path = Field(
        description="Bundle directory of the model to score with, or of several: the champion."
    )
    reasons: int = Field(
        0, ge=0, description="Reasons in each score: the features that moved it most; 0 for none."
    )
    max_records: int = Field(500, ge=1, le=100_000, description="Dead letters per batch at most.")
    code: list[Code] = Field(
        [], description="Only dead letters with this code; may be given several times."
    )
    since: AwareDatetime | None = Field(
        None, description="Only dead letters of this time or later (ISO 8601 with offset)."
    )
    until: AwareDatetime | None = Field(
        None, description="Only dead letters from before this time (ISO 8601 with offset)."
    )
    record_id: str | None = Field(None, description="Only dead letters of this record.")
    model_version: str | None = Field(
        None, min_length=1, description="Only dead letters of this version of the model."
    )
    hub_partition: int | None = Field(
        None, ge=0, description="Only events that came from this partition of the events hub."
    )
    offset: int | None = Field(
        None, ge=0, description="With --hub-partition: only the event at this offset."
    )
    dry_run: bool = Field(False, description="Score and report; publish and log nothing.")
    again: bool = Field(False, description="Take dead letters too that were replayed before.")

    def filters(self, model_name: str) -> Filters:
        """Which dead letters of the model are taken. Raises ConfigurationError."""
        if self.offset is not None and self.hub_partition is None:
            raise ConfigurationError("--offset needs --hub-partition")
        return Filters(
            model_name,
            frozenset(self.code),
            self.since,
            self.until,
            self.record_id,
            self.model_version,
            None if self.hub_partition is None else (self.events_hub, self.hub_partition),
            self.offset,
        )
