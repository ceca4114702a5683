"""What becomes of a unit of records, in steps that may be done again with the same result:

1 validate, 2 score, 3 write the scores, 4 write the rejected rows, 5 publish the scores, 6 append
the inference log, 7 record the unit in the ledger.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np

from adapters.record_files.chunks import Chunk
from adapters.storage import Storage
from batch_scorer.delivery.parts import PartEncoder, rejected_path, scores_path
from batch_scorer.distribution import measured
from batch_scorer.ledger import Ledger, UnitReport
from batch_scorer.plan import Plan, PlannedFile
from batch_scorer.run_manifest import Counts
from scoring.errors import TerminalError
from scoring.identifiers import batch_entry_ids
from scoring.inference_log import InferenceLog, LogBatch
from scoring.model import ModelBundle
from scoring.records import Rejection, ScoredBatch
from scoring.score import score_valid

Clock = Callable[[], datetime]
"""Gives the current time, timezone-aware."""


class Publisher(Protocol):
    """Where scores are published."""

    def publish(self, file: str, rows: Sequence[int], scored: ScoredBatch) -> None:
        """Returns when all have arrived. Raises BrokerUnavailable, InputError."""
        ...


@dataclass(frozen=True)
class Outputs:
    """Where a run's results go. `log` is None when pieces are logged by reference, `publisher` when
    scores are not published. `still_ours` raises TransientError when the lease was lost.
    """

    storage: Storage
    encoder: PartEncoder
    ledger: Ledger
    log: InferenceLog | None
    publisher: Publisher | None
    still_ours: Callable[[], None]


class UnitScorer:
    """Does units of one run. Safe to use from several threads."""

    def __init__(self, plan: Plan, model: ModelBundle, outputs: Outputs, clock: Clock) -> None:
        self._plan = plan
        self._model = model
        self._outputs = outputs
        self._clock = clock
        self._event_time = datetime.fromisoformat(plan.event_time)
        self._alone: AbstractContextManager[object] = (
            nullcontext() if model.is_thread_safe else threading.Lock()
        )

    def score(self, file: PlannedFile, unit: int, chunk: Chunk) -> UnitReport:
        """All steps. Blocks on storage and on the hub.

        Raises TransientError when one of them fails, or the lease was lost; TerminalError when
        scored and rejected are not what was received.
        """
        began = time.perf_counter()
        valid = chunk.validate(self._model.schema)  # 1
        with self._alone:
            scored, refused = score_valid(self._model, valid, self._plan.shape.reasons)  # 2
        rows = _kept_rows(chunk, refused)
        rejected = chunk.located(refused)
        counts = Counts(len(chunk), len(scored), len(rejected))
        if counts.scored + counts.rejected != counts.received:
            raise TerminalError(
                f"{file.url}: of {counts.received} records {counts.scored} were scored and "
                f"{counts.rejected} rejected; the run is not complete"
            )
        self._write(file, unit, rows, scored, rejected)
        if self._outputs.publisher is not None and counts.scored:
            self._outputs.publisher.publish(file.file, rows, scored)  # 5
        if self._outputs.log is not None:
            self._outputs.log.append(self._entries(file, rows, scored, rejected))  # 6
        report = UnitReport(
            unit=unit,
            etag=file.etag,
            counts=counts,
            codes=dict(Counter(str(r.code) for r in rejected)),
            distribution=measured(self._plan.bins, scored),
            seconds=round(time.perf_counter() - began, 3),
            end=chunk.end,
        )
        self._outputs.still_ours()
        self._outputs.ledger.record_unit(file, report)  # 7
        return report

    def _write(
        self,
        file: PlannedFile,
        unit: int,
        rows: Sequence[int],
        scored: ScoredBatch,
        rejected: Sequence[Rejection],
    ) -> None:
        out, place = self._outputs, (self._plan.run_id, file.index, unit)
        out.still_ours()
        if len(scored):
            data = out.encoder.scores(file.file, rows, scored)
            out.storage.write(scores_path(*place, out.encoder.output_format), data)  # 3
        if rejected:
            data = out.encoder.rejected(file.file, rejected)
            out.storage.write(rejected_path(*place, out.encoder.output_format), data)  # 4

    def _entries(
        self,
        file: PlannedFile,
        rows: Sequence[int],
        scored: ScoredBatch,
        rejected: Sequence[Rejection],
    ) -> LogBatch:
        places = [*rows, *(r.position for r in rejected)]
        return LogBatch(
            lane="batch",
            request_id=self._plan.run_id,
            scored_at=self._clock(),
            scored=scored,
            rejected=tuple(rejected),
            entry_ids=batch_entry_ids(
                self._plan.run_id, file.file, self._plan.model.digest, places
            ),
            event_times=[self._event_time] * len(places),
        )


def _kept_rows(chunk: Chunk, refused: Sequence[Rejection]) -> Sequence[int]:
    """The row numbers of what was scored."""
    if not refused:
        return chunk.rows
    kept = np.ones(len(chunk.rows), dtype=np.bool_)
    kept[[r.position for r in refused]] = False
    rows: list[int] = np.asarray(chunk.rows, dtype=np.int64)[kept].tolist()
    return rows
