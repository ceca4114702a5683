"""What was scored and what was rejected, one entry per record: the log every lane writes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Literal, Protocol, TypeVar

from scoring.manifest import OutputColumn
from scoring.records import Rejection, ScoredBatch
from scoring.schema import Schema

Lane = Literal["online", "stream", "batch"]
T = TypeVar("T")

SCHEMA_VERSION = 1

OUTLIER_COLUMN = "outlier_score"

KEY_COLUMNS: Mapping[str, str] = {
    "schema_version": "int32",
    "entry_id": "string",
    "record_id": "string",
    "lane": "string",
    "request_id": "string",
    "model_name": "string",
    "model_version": "string",
    "model_digest": "string",
    "event_time": "timestamp",
    "scored_at": "timestamp",
    "outcome": "string",
    "rejection_code": "string",
}
"""The columns in front of the features, with their types; timestamps are microseconds in UTC."""

RESERVED = frozenset(KEY_COLUMNS) | {OUTLIER_COLUMN}


@dataclass(frozen=True)
class LogLayout:
    """The names of the log's columns for one model.

    Features and outputs stand under their own names; one that would meet a key column, or an
    output that would meet a feature, gets the prefix `feature.` or `output.`.
    """

    features: Mapping[str, str]
    outputs: Mapping[str, str]

    @classmethod
    def of(cls, schema: Schema, outputs: Sequence[OutputColumn]) -> "LogLayout":
        """Feature name -> column, output name -> column, each in the model's order."""
        features = {n: f"feature.{n}" if n in RESERVED else n for n in schema.names}
        taken = RESERVED | set(features.values())
        names = {c.name: f"output.{c.name}" if c.name in taken else c.name for c in outputs}
        return cls(features, names)


@dataclass(frozen=True, slots=True)
class LogBatch:
    """The entries of one request, of several that were scored together, or of a chunk.

    `request_id` is that of all entries, or has one item per record, like what follows.
    `entry_ids` and `event_times` (timezone-aware) have one item per record: first the scored ones
    in order, then the rejected ones in order. An entry id is the same when the same record of the
    same input is scored again by the same model, so that readers can count repeats once.
    """

    lane: Lane
    request_id: str | Sequence[str]
    scored_at: datetime
    scored: ScoredBatch
    rejected: tuple[Rejection, ...]
    entry_ids: Sequence[str]
    event_times: Sequence[datetime]

    def __len__(self) -> int:
        return len(self.entry_ids)

    @classmethod
    def concat(cls, batches: Sequence["LogBatch"]) -> "LogBatch":
        """The entries of one or more batches of one model and lane as one; its `scored_at` is that
        of the last.
        """
        if len(batches) == 1:
            return batches[0]
        ordered = [(b, len(b.scored), len(b)) for b in batches]

        def joined(of: Callable[[LogBatch], Sequence[T]]) -> list[T]:
            """First those of the scored, then those of the rejected."""
            columns = [(of(b), scored, count) for b, scored, count in ordered]
            first = chain.from_iterable(c[:scored] for c, scored, _ in columns)
            rest = chain.from_iterable(c[scored:count] for c, scored, count in columns)
            return [*first, *rest]

        return cls(
            lane=batches[0].lane,
            request_id=joined(lambda b: b.request_ids),
            scored_at=batches[-1].scored_at,
            scored=ScoredBatch.concat([b.scored for b in batches]),
            rejected=tuple(chain.from_iterable(b.rejected for b in batches)),
            entry_ids=joined(lambda b: b.entry_ids),
            event_times=joined(lambda b: b.event_times),
        )

    @property
    def request_ids(self) -> Sequence[str]:
        """One item per record."""
        if isinstance(self.request_id, str):
            return [self.request_id] * len(self)
        return self.request_id


class InferenceLog(Protocol):
    """Where a lane puts its entries."""

    def append(self, entries: LogBatch) -> None:
        """Returns when the entries will survive the death of this process.

        May block on storage. Raises TransientError when nothing, or not everything, was written;
        appending the same entries again is safe.
        """
        ...
