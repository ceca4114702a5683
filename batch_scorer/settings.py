"""What `trilane batch` takes."""

from pathlib import Path

from pydantic import AwareDatetime, Field

from adapters.settings import StorageSettings


class BatchSettings(StorageSettings):
    """Settings of the batch scorer."""

    bundle: Path = Field(
        description="Bundle directory of the model to score with, or of several: the champion."
    )
    input: str = Field(
        min_length=1,
        description="A CSV, JSON Lines or Parquet file, or a directory or prefix of such files.",
    )
    output: str = Field(min_length=1, description="Directory or prefix that gets run=<run id>/.")
    run_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
        description="Name of the run; a run of the same name is completed. Today's date in UTC.",
    )
    record_id_column: str = Field(
        "record_id", min_length=1, description="Column with the record id."
    )
    as_of: AwareDatetime | None = Field(
        None,
        description="Event time of every record, ISO 8601 with zone; the start of the run if not.",
    )
    reasons: int = Field(
        0, ge=0, description="Reasons in each score: the features that moved it most; 0 for none."
    )
    threads: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Threads that score a large chunk; as many as the process has CPUs if not.",
    )
    chunk_records: int = Field(
        8192, ge=1, le=1_000_000, description="Most records in memory and in one part file."
    )
