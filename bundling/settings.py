"""Settings of `trilane package`."""

from pathlib import Path

from pydantic import Field

from adapters.settings import AppSettings


class PackageSettings(AppSettings):
    """Where the configuration is and where bundles go."""

    models: Path = Field(
        Path("config/models.json"), description="The file that names the model versions to serve."
    )
    output: Path = Field(
        Path("var/bundles"), description="Directory of the bundles, one per model name."
    )
    force: bool = Field(
        False, description="Package again even if the bundle for this configuration stands."
    )
