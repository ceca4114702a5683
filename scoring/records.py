"""The unit that travels through every lane: a columnar batch, its scores and its rejections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = NDArray[Any]


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Valid records as columns.

    `record_ids` has one entry per record; `columns` has one array of shape (records,) per feature,
    in the schema's order, with the dtype of `scoring.schema.Feature.dtype`.
    """

    record_ids: tuple[str, ...]
    columns: tuple[Column, ...]

    def __len__(self) -> int:
        return len(self.record_ids)

    def slice(self, start: int, stop: int) -> "RecordBatch":
        """Records `start` to `stop` (exclusive), as views."""
        return RecordBatch(self.record_ids[start:stop], tuple(c[start:stop] for c in self.columns))

    def take(self, positions: Sequence[int] | NDArray[np.intp]) -> "RecordBatch":
        """The records at `positions`, in that order."""
        at = np.asarray(positions, dtype=np.intp)
        ids = tuple(self.record_ids[i] for i in at)
        return RecordBatch(ids, tuple(c[at] for c in self.columns))

    @classmethod
    def concat(cls, batches: Sequence["RecordBatch"]) -> "RecordBatch":
        """The records of one or more batches of the same schema, in order."""
        if len(batches) == 1:
            return batches[0]
        ids = tuple(chain.from_iterable(b.record_ids for b in batches))
        columns = zip(*(b.columns for b in batches), strict=True)
        return cls(ids, tuple(np.concatenate(parts) for parts in columns))


class RejectionCode(StrEnum):
    """Why a record was not scored. The list is closed: readers may switch on it."""

    MALFORMED = "malformed"  # not readable as a record at all
    MISSING_FIELD = "missing_field"
    UNKNOWN_FIELD = "unknown_field"
    NULL_VALUE = "null_value"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    NOT_FINITE = "not_finite"
    INVALID_RECORD_ID = "invalid_record_id"
    TOO_LARGE = "too_large"
    REQUEST_REJECTED = "request_rejected"  # valid, but refused together with its request
    MODEL_ERROR = "model_error"  # the model failed on this record


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule. `field` is None when the record as a whole broke it."""

    field: str | None
    code: RejectionCode
    rule: str

    def __str__(self) -> str:
        return f"{self.field}: {self.rule}" if self.field is not None else self.rule


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that was not scored: where it stood in its input, its id if it had one, and why.

    Carries rules, never values.
    """

    position: int
    record_id: str | None
    violations: tuple[Violation, ...]

    @property
    def code(self) -> RejectionCode:
        """The code of the first violation, in schema order."""
        return self.violations[0].code

    @property
    def detail(self) -> str:
        """All violations in one line."""
        return "; ".join(str(v) for v in self.violations)

    def moved(self, position: int) -> "Rejection":
        """The same, of a record at another position."""
        return Rejection(position, self.record_id, self.violations)


@dataclass(frozen=True, slots=True)
class Validated:
    """What validation makes of an input: scored plus rejected will equal received.

    `positions` has shape (len(batch),): where each valid record stood in the input.
    """

    batch: RecordBatch
    positions: NDArray[np.intp]
    rejections: tuple[Rejection, ...]


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """Which model gave a score: registry name, version, and the digest of the bundle."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Reasons:
    """The k features that moved each score most, the strongest first.

    `features` are all feature names of the schema; `places` (records, k), k at least 1, are
    positions in it and `contributions` (records, k) float64 in the model's margin: above 0 raised
    it, below 0 lowered it.
    """

    features: tuple[str, ...]
    places: NDArray[np.intp]
    contributions: NDArray[np.float64]

    def slice(self, start: int, stop: int) -> "Reasons":
        """Those of records `start` to `stop` (exclusive), as views."""
        return Reasons(self.features, self.places[start:stop], self.contributions[start:stop])

    def first(self, count: int) -> "Reasons":
        """The strongest `count` of each record."""
        return Reasons(self.features, self.places[:, :count], self.contributions[:, :count])

    def as_lists(self) -> list[list[dict[str, Any]]]:
        """Per record, JSON-ready: `[{"feature": ..., "contribution": ...}, ...]`."""
        names, count = self.features, self.places.shape[1]
        places, values = self.places.ravel().tolist(), self.contributions.ravel().tolist()
        found = [
            {"feature": names[p], "contribution": v} for p, v in zip(places, values, strict=True)
        ]
        return [found[i : i + count] for i in range(0, len(found), count)]


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """A batch with its scores.

    `outputs` maps the model's output names to arrays of shape (records,). `outlier_scores` is
    float64 in (0, 1), higher is more anomalous, and `outliers` bool; both None without a detector.
    `reasons` is None unless they were asked for.
    """

    model: ModelVersion
    batch: RecordBatch
    outputs: Mapping[str, Column]
    outlier_scores: Column | None
    outliers: Column | None
    reasons: Reasons | None = None

    def __len__(self) -> int:
        return len(self.batch)

    def slice(self, start: int, stop: int) -> "ScoredBatch":
        """Records `start` to `stop` (exclusive) with their scores, as views."""
        anomaly, outliers, reasons = self.outlier_scores, self.outliers, self.reasons
        return ScoredBatch(
            self.model,
            self.batch.slice(start, stop),
            {name: values[start:stop] for name, values in self.outputs.items()},
            None if anomaly is None else anomaly[start:stop],
            None if outliers is None else outliers[start:stop],
            None if reasons is None else reasons.slice(start, stop),
        )

    @classmethod
    def concat(cls, batches: Sequence["ScoredBatch"]) -> "ScoredBatch":
        """The records of one or more batches of one model, in order. Reasons are left out."""
        first = batches[0]
        if len(batches) == 1:
            return first
        anomaly = [b.outlier_scores for b in batches if b.outlier_scores is not None]
        outliers = [b.outliers for b in batches if b.outliers is not None]
        return cls(
            first.model,
            RecordBatch.concat([b.batch for b in batches]),
            {name: np.concatenate([b.outputs[name] for b in batches]) for name in first.outputs},
            np.concatenate(anomaly) if anomaly else None,
            np.concatenate(outliers) if outliers else None,
        )

    def predictions(self) -> list[dict[str, Any]]:
        """One plain JSON-ready dict per record, as `/predict` and the score events carry it."""
        columns: dict[str, list[Any]] = {"record_id": list(self.batch.record_ids)}
        columns |= {name: values.tolist() for name, values in self.outputs.items()}
        if self.outlier_scores is not None and self.outliers is not None:
            columns["outlier"] = self.outliers.tolist()
            columns["outlier_score"] = self.outlier_scores.tolist()
        if self.reasons is not None:
            columns["reasons"] = self.reasons.as_lists()
        names = tuple(columns)
        return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
