"""config/models.json: which model versions to serve."""

import re
from pathlib import Path
from typing import Literal

import msgspec

from scoring.errors import ConfigurationError

Role = Literal["champion", "challenger"]

_SHA256 = re.compile("[0-9a-f]{64}")


class Registry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the models are registered, as MLflow URIs; the registry is the tracking server's
    unless named.
    """

    tracking_uri: str
    registry_uri: str | None = None


class ModelEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model version to serve; exactly one of `version` and `alias` is set.

    `positive_label` and `threshold` turn two class probabilities into one score and a label;
    `ignored_fields` are fields that callers may send and the model does not use. `digest` pins the
    registered files; `allow_pickle` and `trusted_types` widen what may be loaded, for this model.
    """

    name: str
    role: Role
    version: str | None = None
    alias: str | None = None
    threshold: float = 0.5
    positive_label: str | None = None
    ignored_fields: list[str] = []
    digest: str | None = None
    allow_pickle: bool = False
    trusted_types: list[str] = []


class ModelsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    registry: Registry
    models: list[ModelEntry]
    schema: str | None = msgspec.field(default=None, name="$schema")

    @property
    def champion(self) -> ModelEntry:
        """The one model the lanes answer with."""
        return next(entry for entry in self.models if entry.role == "champion")


def read_models_config(path: Path) -> ModelsConfig:
    """Read and check the file. Raises ConfigurationError naming file, place and rule."""
    try:
        config = msgspec.json.decode(path.read_bytes(), type=ModelsConfig)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    for place, rule in _broken_rules(config):
        raise ConfigurationError(f"{path}: {place}: {rule}")
    return config


def _broken_rules(config: ModelsConfig) -> list[tuple[str, str]]:
    broken: list[tuple[str, str]] = []
    for index, entry in enumerate(config.models):
        if (entry.version is None) == (entry.alias is None):
            broken.append((f"models[{index}]", "give exactly one of version and alias"))
        if entry.digest is not None and not _SHA256.fullmatch(entry.digest):
            broken.append((f"models[{index}].digest", "must be 64 hexadecimal digits"))
        if not 0.0 <= entry.threshold <= 1.0:
            broken.append((f"models[{index}].threshold", "must be between 0 and 1"))
    champions = sum(entry.role == "champion" for entry in config.models)
    if champions != 1:
        broken.append(("models", f"exactly one must have the role champion, found {champions}"))
    names = [entry.name for entry in config.models]
    if len(set(names)) != len(names):
        broken.append(("models", "a model may be named only once"))
    return broken
