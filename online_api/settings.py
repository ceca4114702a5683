"""What `trilane online` takes."""

from pathlib import Path

from pydantic import Field

from adapters.settings import StorageSettings
from online_api.context import DEFAULT_LIMITS


class OnlineSettings(StorageSettings):
    """Settings of the online API."""

    bundle: Path = Field(description="Bundle directory of the model to score with.")
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    spool_dir: Path = Field(
        Path("var/spool"), description="Where inference log entries wait for the storage."
    )
    max_body_bytes: int = Field(
        DEFAULT_LIMITS.max_body_bytes, ge=1, description="Largest request body."
    )
    max_records: int = Field(
        DEFAULT_LIMITS.max_records, ge=1, description="Most records in one request."
    )
    micro_batch_records: int = Field(
        DEFAULT_LIMITS.micro_batch_records,
        ge=1,
        description="Most records of waiting requests in one call of a model that is not compiled.",
    )
    max_wait_seconds: float = Field(
        DEFAULT_LIMITS.max_wait_seconds,
        gt=0,
        description="How long a request waits for that call to begin before it is refused.",
    )
    upload_interval_seconds: float = Field(
        5.0, gt=0, description="Time between two uploads of the inference log."
    )
