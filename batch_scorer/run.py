"""The loop over files and chunks, and the manifest at its end.

Order: 1 read and validate a chunk, 2 score it, 3 write its scores, 4 write its rejected rows,
5 append it to the inference log; after all chunks 6 drop parts of earlier attempts, 7 write the
run manifest. A run that ends before 7 is done over by the next call with its run id: every part
is written again under the same name, and entries of the log keep their ids.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from adapters.record_files.chunks import Chunk
from adapters.storage import Storage
from batch_scorer.inputs import InputFile
from batch_scorer.progress import Progress
from batch_scorer.readers import read_chunks
from batch_scorer.run_manifest import (
    Counts,
    InputReport,
    ModelReport,
    RunManifest,
    write_run_manifest,
)
from batch_scorer.writers import PartWriter
from scoring.errors import TerminalError, TransientError
from scoring.identifiers import derived_id
from scoring.inference_log import InferenceLog, LogBatch
from scoring.model import ModelBundle
from scoring.score import score_valid

Clock = Callable[[], datetime]
"""Gives the current time, timezone-aware."""


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What identifies a run and what is made of it; times are in UTC. `reasons` per record."""

    run_id: str
    record_id_column: str
    chunk_records: int
    event_time: datetime
    started: datetime
    reasons: int = 0


class Run:
    """One attempt at one run. Use it once, from one thread."""

    def __init__(
        self,
        spec: RunSpec,
        model: ModelBundle,
        source: Storage,
        output: Storage,
        log: InferenceLog,
        clock: Clock,
        stopping: Callable[[], bool],
    ) -> None:
        """`stopping` is asked after every chunk; when it says yes, the attempt ends."""
        self._spec = spec
        self._model = model
        self._source = source
        self._output = output
        self._log = log
        self._clock = clock
        self._stopping = stopping
        self._parts = PartWriter(output, spec.run_id, model, spec.reasons > 0)
        self._codes: Counter[str] = Counter()

    def score(self, files: Sequence[InputFile], progress: Progress) -> RunManifest:
        """Score every file; returns when the run is complete.

        Holds one chunk of records at a time. Raises InputError when a file cannot be read as a
        whole, TransientError when storage fails or the attempt is stopped; the run is then not
        complete.
        """
        reports = [self._file(file, progress) for file in files]
        self._parts.finish()  # 6
        manifest = self._manifest(reports)
        write_run_manifest(self._output, manifest)  # 7
        return manifest

    def _file(self, file: InputFile, progress: Progress) -> InputReport:
        spec, started = self._spec, self._clock()
        counts, numbers = Counts(), itertools.count()
        for chunk in read_chunks(
            self._source, file, self._model.schema, spec.record_id_column, spec.chunk_records
        ):
            counts += self._chunk(file, next(numbers), chunk)
            progress.chunk(file, len(chunk), chunk.share)
            if self._stopping():
                raise TransientError(f"stopped; --run-id {spec.run_id} completes the run")
            del chunk  # before the next one is read
        if counts.scored + counts.rejected != counts.received:
            raise TerminalError(
                f"{file.url}: {counts.received} records received, but {counts.scored} scored and "
                f"{counts.rejected} rejected; the run is not complete"
            )
        report = InputReport(
            file=file.name,
            url=file.url,
            size=file.size,
            etag=file.etag,
            received=counts.received,
            scored=counts.scored,
            rejected=counts.rejected,
            seconds=round((self._clock() - started).total_seconds(), 3),
        )
        progress.file(report)
        return report

    def _chunk(self, file: InputFile, number: int, chunk: Chunk) -> Counts:
        valid = chunk.validate(self._model.schema)  # 1
        scored, refused = score_valid(self._model, valid, self._spec.reasons)  # 2
        kept = np.ones(len(chunk.rows), dtype=np.bool_)
        kept[[r.position for r in refused]] = False
        rows = np.asarray(chunk.rows, dtype=np.int64)[kept].tolist()
        rejected = chunk.located(refused)
        self._parts.write_scores(file.index, number, file.name, rows, scored)  # 3
        self._parts.write_rejected(file.index, number, file.name, rejected)  # 4
        places = [*rows, *(r.position for r in rejected)]
        run_id = self._spec.run_id
        entries = LogBatch(
            lane="batch",
            request_id=run_id,
            scored_at=self._clock(),
            scored=scored,
            rejected=tuple(rejected),
            entry_ids=[derived_id("batch", run_id, file.name, str(row)) for row in places],
            event_times=[self._spec.event_time] * len(places),
        )
        self._log.append(entries)  # 5
        self._codes.update(str(r.code) for r in rejected)
        return Counts(len(chunk), len(scored), len(rejected))

    def _manifest(self, reports: list[InputReport]) -> RunManifest:
        spec, model = self._spec, self._model.manifest
        finished = self._clock().astimezone(UTC)
        return RunManifest(
            format=1,
            run_id=spec.run_id,
            outcome="complete",
            model=ModelReport(
                model.name, model.version, model.digest, model.alias, model.source_digest
            ),
            record_id_column=spec.record_id_column,
            chunk_records=spec.chunk_records,
            reasons=spec.reasons,
            event_time=spec.event_time.isoformat(),
            started_at=spec.started.isoformat(),
            finished_at=finished.isoformat(),
            seconds=round((finished - spec.started).total_seconds(), 3),
            totals=Counts(
                sum(r.received for r in reports),
                sum(r.scored for r in reports),
                sum(r.rejected for r in reports),
            ),
            rejections=dict(self._codes.most_common()),
            inputs=reports,
        )
