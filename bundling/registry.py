"""The MLflow registry: resolve a model version and download its files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundling.config import ModelEntry


@dataclass(frozen=True, slots=True)
class FetchedModel:
    """A registered version's files in a local directory, and where they came from."""

    directory: Path
    name: str
    version: str
    run_id: str | None
    source: str


def fetch(entry: ModelEntry, directory: Path) -> FetchedModel:
    """Download the version into `directory`/model; blocks on the registry.

    Needs `bundling.mlflow_door.opened`, which translates MLflow's exceptions: an unknown version
    or alias becomes a ConfigurationError.
    """
    import mlflow.artifacts

    found = _resolve(entry)
    target = directory / "model"
    target.mkdir()
    mlflow.artifacts.download_artifacts(
        artifact_uri=f"models:/{entry.name}/{found.version}", dst_path=str(target)
    )
    return FetchedModel(target, entry.name, str(found.version), found.run_id, str(found.source))


def is_registered(entry: ModelEntry) -> bool:
    """Whether the registry has the version or alias. Needs `bundling.mlflow_door.opened`."""
    from mlflow.exceptions import MlflowException

    try:
        _resolve(entry)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return True


def _resolve(entry: ModelEntry) -> Any:
    from mlflow import MlflowClient

    client = MlflowClient()
    if entry.alias is not None:
        return client.get_model_version_by_alias(entry.name, entry.alias)
    return client.get_model_version(entry.name, entry.version)
