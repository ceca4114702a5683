"""A loaded model: what a lane holds after `load_model`."""

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final, Protocol

from scoring.errors import ReasonsUnavailable
from scoring.manifest import Manifest, OutputColumn
from scoring.records import Column, ModelVersion, RecordBatch
from scoring.schema import Schema

OUTLIER: Final = "outlier_score"
"""The raw column of an outlier detector."""


class Backend(Protocol):
    """A way to compute raw columns."""

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """Raw columns by name, each of shape (len(batch),). Raises ModelError. Not thread-safe
        unless the implementation says so.
        """
        ...


@dataclass(frozen=True, slots=True)
class Explanation:
    """What each feature added to each record's margin.

    `base` (records,) and `contributions` (records, features), float64, the features in the
    schema's order. `base` plus a record's contributions is its margin.
    """

    base: Column
    contributions: Column


class Explainer(Protocol):
    """A way to compute contributions."""

    def explain(self, batch: RecordBatch) -> Explanation:
        """Of a batch that is not empty. The same record gets the same bits in any batch. Raises
        ModelError. Not thread-safe unless the implementation says so.
        """
        ...


@dataclass(frozen=True)
class ModelDescription:
    """What is known of a model without loading it: enough to read and to write what it scored."""

    manifest: Manifest
    schema: Schema

    @cached_property
    def version(self) -> ModelVersion:
        """Name, version and digest, as every score carries them."""
        return ModelVersion(self.manifest.name, self.manifest.version, self.manifest.digest)

    @cached_property
    def output_columns(self) -> tuple[OutputColumn, ...]:
        """Names and types of what `score` returns."""
        return tuple(self.manifest.output.columns)


@dataclass(frozen=True)
class ModelBundle(ModelDescription):
    """A verified bundle with its backend, ready to score.

    `outlier` gives one raw column, `scoring.model.OUTLIER`: float64 in (0, 1), higher is more
    anomalous. `explainer` is None where reasons cannot be given, and `no_reasons` then says why.
    `workers` score parts of a large batch at once; None for one thread.
    """

    backend: Backend
    outlier: Backend | None
    loaded_at: datetime
    explainer: Explainer | None = None
    no_reasons: str | None = None
    workers: Executor | None = None

    @property
    def is_thread_safe(self) -> bool:
        """Whether several threads may score with it at once."""
        return self.manifest.backend.kind == "onnx"

    def require_explainer(self) -> Explainer:
        """The explainer. Raises ReasonsUnavailable, saying why, when this model gives none."""
        if self.explainer is None:
            name = self.manifest.name
            raise ReasonsUnavailable(f"model {name} gives no reasons: {self.no_reasons}")
        return self.explainer
