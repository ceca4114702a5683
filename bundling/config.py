"""config/models.json: which model versions to serve."""

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from scoring.errors import ConfigurationError

Role = Literal["champion", "challenger"]

Text = Annotated[str, Meta(min_length=1)]
ModelName = Annotated[str, Meta(pattern="^[^./:][^/:]*$")]
"""Also the name of the bundle's directory; the dots of Unity Catalog's names are part of it."""

_CREDENTIALS_IN_URI: Final = re.compile(r"://[^/]*@")


class Registry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the models are registered, as MLflow URIs without credentials; the registry is the
    tracking server's unless named.
    """

    tracking_uri: Text
    registry_uri: Text | None = None


class ModelEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model version to serve; exactly one of `version` and `alias` is set.

    `positive_label` and `threshold` (0.5 if not given) turn two class probabilities into one score
    and a label; `ignored_fields` are fields that callers may send and the model does not use.
    `outlier_share` is the share of the reference to flag as outliers, instead of the one the
    version states. `digest` pins the registered files; `allow_pickle` and `trusted_types` widen
    what may be loaded, for this model.
    """

    name: ModelName
    role: Role
    version: Annotated[str, Meta(pattern="^[1-9][0-9]*$")] | None = None
    alias: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+$")] | None = None
    threshold: Annotated[float, Meta(ge=0, le=1)] | None = None
    positive_label: Text | None = None
    ignored_fields: list[Text] = []
    outlier_share: Annotated[float, Meta(gt=0, lt=0.5)] | None = None
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None = None
    allow_pickle: bool = False
    trusted_types: list[Text] = []

    @property
    def decision_threshold(self) -> float:
        """The score from which the label is the positive one."""
        return 0.5 if self.threshold is None else self.threshold


class ModelsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    registry: Registry
    models: Annotated[list[ModelEntry], Meta(min_length=1)]
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
    for key in ("tracking_uri", "registry_uri"):
        if _CREDENTIALS_IN_URI.search(getattr(config.registry, key) or ""):
            rule = "must hold no credentials; MLflow takes them from MLFLOW_TRACKING_USERNAME and "
            broken.append((f"registry.{key}", f"{rule}MLFLOW_TRACKING_PASSWORD"))
    for index, entry in enumerate(config.models):
        if (entry.version is None) == (entry.alias is None):
            broken.append((f"models[{index}]", "give exactly one of version and alias"))
        if entry.threshold is not None and entry.positive_label is None:
            broken.append((f"models[{index}].threshold", "needs positive_label beside it"))
        for key in ("ignored_fields", "trusted_types"):
            values: list[Any] = getattr(entry, key)
            if len(set(values)) != len(values):
                broken.append((f"models[{index}].{key}", "must not repeat a value"))
    champions = sum(entry.role == "champion" for entry in config.models)
    if champions != 1:
        broken.append(("models", f"exactly one must have the role champion, found {champions}"))
    names = [entry.name for entry in config.models]
    if len(set(names)) != len(names):
        broken.append(("models", "a model may be named only once"))
    return broken
