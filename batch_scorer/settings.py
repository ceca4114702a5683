"""What `trilane batch` takes."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import AwareDatetime, Field, model_validator

from adapters.hub_settings import ResultSettings
from adapters.settings import StorageSettings

if TYPE_CHECKING:
    from adapters.record_files.chunks import CsvDialect


def _completion_index() -> Any:
    """What Kubernetes says to a pod of an Indexed Job; not checked yet."""
    return os.environ.get("JOB_COMPLETION_INDEX", 0)


class BatchSettings(StorageSettings, ResultSettings):
    """Settings of the batch scorer."""

    bundle: Path = Field(
        description="Bundle directory of the model to score with, or of several: the champion."
    )
    input: str = Field(
        min_length=1,
        description="A file of records, a directory or prefix of such files, a glob, or a Delta"
        " table: CSV, JSON Lines, Parquet.",
    )
    output: str = Field(min_length=1, description="Directory or prefix that gets run=<run id>/.")
    run_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
        description="Name of the run; a run of the same name is completed. Today's date in UTC.",
    )
    restart: bool = Field(
        False, description="Drop what an unfinished or failed run of this name has done."
    )
    dry_run: bool = Field(
        False, description="Say what would be read and check samples of it; write nothing."
    )
    incremental: Literal["none", "files", "partitions"] = Field(
        "none", description="Leave out the files, or Hive partitions, that a complete run scored."
    )
    full: bool = Field(False, description="Leave nothing out, this once.")
    record_id_column: str = Field(
        "record_id", min_length=1, description="Column with the record id."
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="New names of the input's columns, as JSON: its name to the model's.",
    )
    csv_delimiter: str = Field(
        "auto", min_length=1, description="One character, or auto: comma, semicolon, tab or bar."
    )
    csv_quote: str = Field(
        '"', max_length=1, description="Quote of CSV cells; empty where nothing is quoted."
    )
    csv_encoding: str = Field(
        "auto", min_length=1, description="Encoding of text files; auto is UTF-8 or UTF-16."
    )
    csv_decimal: Literal[".", ","] = Field(".", description="Decimal separator of CSV cells.")
    as_of: AwareDatetime | None = Field(
        None,
        description="Event time of every record, ISO 8601 with zone; the start of the run if not.",
    )
    reasons: int = Field(
        0, ge=0, description="Reasons in each score: the features that moved it most; 0 for none."
    )
    max_rejected_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of rejected records above which a run fails; 1 for none.",
    )
    output_format: Literal["parquet", "csv", "delta"] = Field(
        "parquet", description="Of the scores; delta adds a table of all runs to the parts."
    )
    publish: bool = Field(False, description="Publish every score to the scores hub, too.")
    log: Literal["auto", "rows", "reference"] = Field(
        "auto",
        description="How the inference log gets the run: auto is by reference if it is large.",
    )
    engine: Literal["local", "spark"] = Field(
        "local", description="Where pieces are scored: threads of this process, or a Spark cluster."
    )
    threads: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Threads that score; as many as the process has CPUs if not.",
    )
    chunk_records: int = Field(
        65_536, ge=1, le=1_000_000, description="Most records in a unit of work and in a part file."
    )
    shards: int = Field(1, ge=1, le=10_000, description="Processes that share the run.")
    shard: int = Field(
        default_factory=_completion_index,
        ge=0,
        validate_default=True,
        description="Which of them this is, from 0; in an Indexed Job its JOB_COMPLETION_INDEX.",
    )
    lease_wait_seconds: float = Field(
        90, ge=0, description="How long another attempt at the run may take to let go of it."
    )
    retry_seconds: float = Field(
        120, ge=0, description="How long a storage or hub that fails is asked again."
    )

    @model_validator(mode="after")
    def _shard_of_shards(self) -> "BatchSettings":
        if self.shard >= self.shards:
            raise ValueError("--shard must be below --shards")
        if self.restart and self.shards > 1:
            raise ValueError("--restart is for one process: begin anew with it, then start shards")
        return self

    def dialect(self) -> "CsvDialect":
        """How CSV files are written. Raises ConfigurationError when none can be."""
        from adapters.record_files.chunks import CsvDialect
        from adapters.record_files.csv_header import check_dialect

        found = CsvDialect(self.csv_delimiter, self.csv_quote, self.csv_encoding, self.csv_decimal)
        check_dialect(found)
        return found
