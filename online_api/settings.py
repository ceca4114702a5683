"""What `trilane online` takes."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from adapters.settings import StorageSettings
from online_api.context import DEFAULT_LIMITS, Limits

Audience = Literal["open", "score", "admin"]


class OnlineSettings(StorageSettings):
    """Settings of the online API."""

    bundle: Path = Field(
        description="Bundle directory of the model to score with, or a directory of bundles: every "
        "model in it is served, and the champion answers when a request names none."
    )
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    workers: int = Field(1, ge=1, le=64, description="Processes that answer.")
    shadow: bool = Field(
        False,
        description="Have the challengers score what the champion answered; logged, not answered.",
    )

    api_keys_file: Path | None = Field(
        None, description="JSON file with the hashes of the API keys; read again when it changes."
    )
    entra_tenant: str | None = Field(
        None, min_length=1, description="Entra ID tenant whose tokens are accepted."
    )
    entra_audience: str | None = Field(
        None, min_length=1, description="Audience that a token must have: the app registration's."
    )
    entra_issuer: str | None = Field(
        None, min_length=1, description="Issuer of the tokens, instead of the tenant's own."
    )
    entra_jwks_url: str | None = Field(
        None, min_length=1, description="Where the signing keys are, instead of the tenant's own."
    )
    anonymous: bool = Field(
        False, description="Answer whoever reaches the port, on any address: for a mesh or gateway."
    )
    metrics_access: Audience = Field("admin", description="Role that /metrics asks for.")
    model_access: Audience = Field("score", description="Role that /model and metadata ask for.")

    max_body_bytes: int = Field(
        DEFAULT_LIMITS.max_body_bytes, ge=1, description="Largest request body."
    )
    max_records: int = Field(
        DEFAULT_LIMITS.max_records, ge=1, description="Most records in one request."
    )
    header_seconds: float = Field(
        10.0, gt=0, description="How long a request's headers may take to arrive."
    )
    body_seconds: float = Field(
        DEFAULT_LIMITS.body_seconds, gt=0, description="How long a request's body may take."
    )
    deadline_seconds: float = Field(
        DEFAULT_LIMITS.deadline_seconds, gt=0, description="How long an answer may take."
    )
    idle_seconds: float = Field(
        75.0, gt=0, description="How long a connection may stay open without a request."
    )
    max_connections: int = Field(
        2048, ge=1, description="Most open connections of one process; more are refused."
    )
    max_in_flight: int = Field(
        DEFAULT_LIMITS.max_in_flight,
        ge=1,
        description="Most requests of one process that are being worked on; more are refused.",
    )
    micro_batch_records: int = Field(
        DEFAULT_LIMITS.micro_batch_records,
        ge=1,
        description="Most records of waiting requests in one call of a model that is not compiled.",
    )
    max_waiting: int = Field(
        DEFAULT_LIMITS.max_waiting,
        ge=1,
        description="Most requests that wait for that call; more are refused.",
    )
    max_wait_seconds: float = Field(
        DEFAULT_LIMITS.max_wait_seconds,
        gt=0,
        description="How long a request waits for that call to begin before it is refused.",
    )
    drain_seconds: float = Field(
        5.0,
        ge=0,
        description="How long requests are still taken after SIGTERM, so that callers can move on.",
    )
    grace_seconds: float = Field(
        15.0, gt=0, description="How long requests in flight may then take to end."
    )

    spool_dir: Path = Field(
        Path("var/spool"), description="Where inference log entries wait for the storage."
    )
    spool_max_bytes: int = Field(
        1024**3, ge=1024**2, description="Most bytes of the spool, all processes together."
    )
    spool_full: Literal["answer", "refuse"] = Field(
        "answer",
        description="At that bound: answer and drop the entries, counted; or refuse requests.",
    )
    upload_interval_seconds: float = Field(
        5.0, gt=0, description="Time between two uploads of the inference log."
    )
    request_lines: Literal["off", "sizes", "outputs", "features"] = Field(
        "sizes",
        description="What InputData and OutputData lines on stderr hold; the larger ones hold what "
        "the smaller do.",
    )

    def limits(self) -> Limits:
        """The limits of requests."""
        return Limits(**{name: getattr(self, name) for name in Limits.__dataclass_fields__})
