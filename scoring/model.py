"""A loaded model: what a lane holds after `load_model`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from scoring.manifest import Manifest, OutputColumn
from scoring.records import Column, ModelVersion, RecordBatch
from scoring.schema import Schema


class Backend(Protocol):
    """A way to compute the model's raw columns."""

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """Raw columns by name, each of shape (len(batch),). Raises ModelError. Not thread-safe
        unless the implementation says so.
        """
        ...


class OutlierDetector(Protocol):
    """A way to compute anomaly scores."""

    def compute(self, batch: RecordBatch) -> Column:
        """Float64 in (0, 1) of shape (len(batch),), higher is more anomalous. Raises ModelError."""
        ...


@dataclass(frozen=True)
class ModelBundle:
    """A verified bundle with its backend, ready to score."""

    manifest: Manifest
    schema: Schema
    backend: Backend
    outlier: OutlierDetector | None
    loaded_at: datetime

    @property
    def version(self) -> ModelVersion:
        """Name, version and digest, as every score carries them."""
        return ModelVersion(self.manifest.name, self.manifest.version, self.manifest.digest)

    @property
    def output_columns(self) -> tuple[OutputColumn, ...]:
        """Names and types of what `score` returns."""
        return tuple(self.manifest.output.columns)
