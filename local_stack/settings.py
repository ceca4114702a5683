"""Settings of `trilane demo`."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from adapters.settings import AppSettings


class DemoSettings(AppSettings):
    """Where the demo works, and whether it stays up at the end."""

    models: Path = Field(
        Path("config/models.json"), description="The file that names the model versions to serve."
    )
    policy: Path = Field(Path("config/monitoring.json"), description="The drift policy.")
    directory: Path = Field(Path("var/demo"), description="Where the demo keeps what it makes.")
    port: int = Field(8080, ge=0, le=65535, description="Port of the online API; 0: a free one.")
    stay: Literal["auto", "yes", "no"] = Field(
        "auto", description="Keep everything running at the end; auto: on a terminal."
    )
