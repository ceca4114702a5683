"""The MLflow registry: resolve a model version and download its files."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bundling.config import ModelEntry
from bundling.mlflow_door import is_unknown, without_credentials
from scoring.errors import ConfigurationError

MODEL: Final = "model"
"""The directory of the registered files in a bundle."""

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class UnknownVersion(ConfigurationError):
    """The registry has no such model, version or alias."""


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """What the registry says of a version. `source` is where its files lie, without credentials."""

    name: str
    version: str
    run_id: str | None
    source: str


def resolve(entry: ModelEntry) -> RegisteredVersion:
    """The version that the entry names, or its alias names now; asks the registry, no more.

    Needs `bundling.mlflow_door.opened`, which translates MLflow's exceptions. Raises
    ConfigurationError for a model, version or alias that the registry does not have.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient()
    try:
        if entry.alias is not None:
            found: Any = client.get_model_version_by_alias(entry.name, entry.alias)
        else:
            found = client.get_model_version(entry.name, entry.version)
    except MlflowException as error:
        if not is_unknown(error):
            raise
        wanted = f"version {entry.version}" if entry.alias is None else f"alias '{entry.alias}'"
        raise UnknownVersion(
            f"models.json: {entry.name}: the registry has no {wanted} of a model of this name; "
            "register it, or name another"
        ) from error
    source = without_credentials(str(found.source))
    return RegisteredVersion(entry.name, str(found.version), found.run_id or None, source)


def download(found: RegisteredVersion, directory: Path) -> None:
    """Download the version's files into `directory`/`MODEL`; blocks.

    Needs `bundling.mlflow_door.opened`. Raises OSError where the disk is full.
    """
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException

    target = directory / MODEL
    target.mkdir()
    try:
        mlflow.artifacts.download_artifacts(
            artifact_uri=f"models:/{found.name}/{found.version}", dst_path=str(target)
        )
    except MlflowException as error:
        # Files are copied by threads, whose exceptions are in the text alone.
        for number in _NO_ROOM:
            if os.strerror(number) in error.message:
                raise OSError(number, os.strerror(number)) from error
        raise


def is_registered(entry: ModelEntry) -> bool:
    """Whether the registry has the version or alias. Needs `bundling.mlflow_door.opened`."""
    try:
        resolve(entry)
    except UnknownVersion:
        return False
    return True
