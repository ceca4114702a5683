"""What `trilane monitor` takes."""

from pathlib import Path

from pydantic import AwareDatetime, Field

from adapters.settings import StorageSettings


class MonitorSettings(StorageSettings):
    """Settings of the monitoring worker."""

    bundle: Path = Field(
        description="Bundle directory of the model to watch, or of several: the champion."
    )
    policy: Path = Field(Path("config/monitoring.json"), description="The drift policy.")
    grace_seconds: float = Field(
        300, ge=0, description="How long after its end an hour is closed and gets its report."
    )
    interval_seconds: float = Field(60, gt=0, description="Pause between two looks at the log.")
    once: bool = Field(False, description="Report all closed windows, then exit.")
    since: AwareDatetime | None = Field(
        None, description="Only windows that start at or after this time (ISO 8601 with offset)."
    )
    until: AwareDatetime | None = Field(
        None, description="Only windows that start before this time (ISO 8601 with offset)."
    )
    html_reports: bool = Field(True, description="Write an HTML page for every judged window.")
    logs_ingestion_endpoint: str | None = Field(
        None, description="Logs ingestion URL; with it rows go to Log Analytics too."
    )
    logs_ingestion_rule_id: str | None = Field(
        None, description="Immutable id of the data collection rule."
    )
    probe_host: str = Field(
        "127.0.0.1", description="Where /livez, /readyz, /metrics, /model listen."
    )
    probe_port: int = Field(8082, ge=0, le=65535, description="Port of the probes.")
    code_version: str | None = Field(
        None, description="Recorded with every report; default: the installed version of trilane."
    )
