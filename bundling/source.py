"""What packaging reads from a downloaded MLflow model: signature, example, classes, extras.

Beside MLflow's own files a version may carry two directories of trilane's:
`trilane/outlier/` (an MLflow scikit-learn IsolationForest, and outlier.json with its features) and
`trilane/reference/reference.parquet` (training inputs, for drift).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundling.config import ModelEntry
from scoring.errors import BundleError
from scoring.schema import Schema

REFERENCE_PATH = "trilane/reference/reference.parquet"
OUTLIER_PATH = "trilane/outlier"


@dataclass(frozen=True)
class ModelSource:
    """A downloaded model's description; `flavors` are MLflow's flavor names."""

    directory: Path
    digest: str
    inputs: list[Mapping[str, Any]]
    example: dict[str, Any] | None
    classes: list[str] | None
    flavors: frozenset[str]

    def schema(self, entry: ModelEntry) -> Schema:
        """The schema that the bundle will have. Raises BundleError for an unusable signature."""
        return Schema.from_signature(self.inputs, entry.ignored_fields, self.example)

    @property
    def reference(self) -> Path | None:
        """The training inputs, if the version carries them."""
        path = self.directory / REFERENCE_PATH
        return path if path.is_file() else None

    @property
    def outlier(self) -> Path | None:
        """The outlier detector's MLflow model, if the version carries one."""
        path = self.directory / OUTLIER_PATH
        return path if (path / "MLmodel").is_file() else None


def read_source(directory: Path, digest: str) -> ModelSource:
    """Read the MLmodel file and what it names. Raises BundleError saying what to change."""
    from mlflow.models import Model

    try:
        model = Model.load(str(directory))
    except Exception as error:  # MLflow raises whatever its YAML reader does
        raise BundleError(f"{directory} holds no readable MLmodel file") from error
    if model.signature is None or model.signature.inputs is None:
        raise BundleError("the model has no signature; log it again with one (infer_signature)")
    inputs: list[Mapping[str, Any]] = [dict(column) for column in model.signature.inputs.to_dict()]
    metadata = model.metadata or {}
    classes = metadata.get("classes")
    return ModelSource(
        directory,
        digest,
        inputs,
        _example(model, directory),
        [str(label) for label in classes] if classes else None,
        frozenset(model.flavors),
    )


def outlier_features(directory: Path) -> list[str]:
    """The features the outlier detector takes, in its order."""
    described = json.loads((directory / "outlier.json").read_bytes())
    return [str(name) for name in described["features"]]


def _example(model: Any, directory: Path) -> dict[str, Any] | None:
    """The first record of the input example, as JSON would carry it."""
    example = model.load_input_example(str(directory)) if model.saved_input_example_info else None
    if example is None or not hasattr(example, "to_json"):
        return None
    rows: list[dict[str, Any]] = json.loads(example.head(1).to_json(orient="records"))
    return rows[0] if rows else None
