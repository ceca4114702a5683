"""What packaging reads from a downloaded MLflow model: signature, example, classes, extras.

Beside MLflow's own files a version may carry two directories of trilane's:
`trilane/outlier/` (an MLflow scikit-learn IsolationForest, and outlier.json with its features and
the share of the reference it is to flag) and `trilane/reference/reference.parquet` (training
inputs, for drift).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from bundling.config import ModelEntry
from scoring.errors import BundleError, ConfigurationError
from scoring.schema import Schema

REFERENCE_PATH = "trilane/reference/reference.parquet"
OUTLIER_PATH = "trilane/outlier"


@dataclass(frozen=True)
class ModelSource:
    """A downloaded model's description; `flavors` are MLflow's flavor names, `examples` the records
    of its input example.
    """

    directory: Path
    digest: str
    inputs: list[Mapping[str, Any]]
    examples: list[dict[str, Any]]
    classes: list[str] | None
    flavors: frozenset[str]

    @property
    def example(self) -> dict[str, Any] | None:
        """The first record of the input example."""
        return self.examples[0] if self.examples else None

    def schema(self, entry: ModelEntry) -> Schema:
        """The schema that the bundle will have.

        Raises BundleError for an unusable signature, ConfigurationError for an ignored field that
        the model uses.
        """
        schema = Schema.from_signature(self.inputs, entry.ignored_fields, self.example)
        used = sorted(set(entry.ignored_fields).intersection(schema.names))
        if used:
            raise ConfigurationError(
                f"models.json: {entry.name}: ignored_fields names '{used[0]}', which the model uses"
            )
        return schema

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
        raise BundleError(
            f"its MLmodel file is missing or cannot be read ({type(error).__name__}): "
            "log the model again"
        ) from error
    if "python_function" not in (model.flavors or {}):
        has = ", ".join(sorted(model.flavors or {})) or "none"
        raise BundleError(
            "MLmodel has no python_function flavour, by which MLflow calls a model (it has: "
            f"{has}); log the model with a flavour of MLflow that adds it"
        )
    if model.signature is None or model.signature.inputs is None:
        raise BundleError("MLmodel has no signature; log it again with one (infer_signature)")
    inputs: list[Mapping[str, Any]] = [dict(column) for column in model.signature.inputs.to_dict()]
    metadata = model.metadata or {}
    classes = metadata.get("classes")
    return ModelSource(
        directory,
        digest,
        inputs,
        _examples(model, directory),
        [str(label) for label in classes] if classes else None,
        frozenset(model.flavors),
    )


class OutlierDescription(msgspec.Struct, frozen=True):
    """outlier.json: the features the detector takes, in its order, and the share to flag."""

    features: list[str]
    share: Annotated[float, msgspec.Meta(gt=0, lt=0.5)] | None = None


def describe_outlier(directory: Path) -> OutlierDescription:
    """Read outlier.json beside the detector. Raises BundleError naming it."""
    path = directory / "outlier.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=OutlierDescription)
    except OSError as error:
        raise BundleError(f"cannot read {OUTLIER_PATH}/outlier.json: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{OUTLIER_PATH}/outlier.json: {error}") from error


def loading_failure(error: BaseException, directory: Path) -> str:
    """The words of an error met while packaging; and what to do where a model could not be loaded
    because a package is missing, or its files are damaged.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ModuleNotFoundError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        return (
            f"loading it needs the Python module '{cause.name}', which is not installed here: "
            f"install the package that holds it{_stated_requirements(directory)}"
        )
    repair = "; if its files are damaged or incomplete, log the model and register it again"
    said = str(error).rstrip(".")
    return f"{said}{repair if 'cannot load' in said else ''}"


def _stated_requirements(directory: Path) -> str:
    try:
        stated = (directory / "requirements.txt").read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        return ""
    return f"; its requirements.txt asks for {', '.join(stated)}" if stated else ""


def _examples(model: Any, directory: Path) -> list[dict[str, Any]]:
    """The records of the input example, as JSON would carry them."""
    example: Any = None
    if model.saved_input_example_info:
        example = model.load_input_example(str(directory))
    if hasattr(example, "to_json"):
        text = example.to_json(
            orient="records", date_format="iso", date_unit="us", double_precision=15
        )
        example = json.loads(text)
    if not isinstance(example, list) or not all(isinstance(row, dict) for row in example):
        return []
    return example
