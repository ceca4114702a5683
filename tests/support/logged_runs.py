"""Batch runs that are logged as rows or by reference, unit by unit, as the batch scorer does it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.log_references import (
    LogReference,
    ReferencedInput,
    UnitParts,
    reference_path,
    write_reference,
)
from adapters.parquet_log import ParquetInferenceLog, log_table
from adapters.record_files.chunks import PLAIN, START, Chunk, Position, ReadOptions
from adapters.record_files.reading import Format, read_chunks
from adapters.storage import Storage, open_storage
from batch_scorer.delivery.parts import PartEncoder, rejected_path, scores_path
from scoring.errors import ModelError
from scoring.identifiers import batch_entry_ids
from scoring.inference_log import LogBatch
from scoring.model import Backend, ModelBundle
from scoring.records import Column, RecordBatch
from scoring.score import score_valid

EVENT_TIME: Final = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
STARTED: Final = datetime(2026, 3, 3, 1, 0, tzinfo=UTC)

Pieces = Sequence[tuple[tuple[int, int] | None, int]]
"""Row groups, and the rows before them, of each piece."""


@dataclass(frozen=True)
class InputSpec:
    """How one file of a run is read."""

    name: str
    format: Format
    options: ReadOptions = PLAIN
    pieces: Pieces = ((None, 0),)


@dataclass
class LoggedRun:
    """A run of some files below `root`/in; its parts lie in `root`/out, its log in `root`/store."""

    model: ModelBundle
    root: Path
    files: Sequence[InputSpec]
    by_reference: bool = True
    run_id: str = "nightly"
    chunk_records: int = 64
    started_at: datetime = STARTED
    tables: list[pa.Table] = field(default_factory=list)

    @property
    def store(self) -> Storage:
        """Root of the inference log."""
        return open_storage(str(self.root / "store"))

    @property
    def source(self) -> Storage:
        """The input."""
        return open_storage(str(self.root / "in"))

    @property
    def output(self) -> Storage:
        """What gets the parts."""
        return open_storage(str(self.root / "out"))

    def score(self, units: int | None = None) -> list[LogReference]:
        """Score the files from the first on; with `units` the run is killed after so many, before
        its piece is logged. Returns what was logged by reference; `tables` has the rows of the log.
        """
        self.tables.clear()
        written: list[LogReference] = []
        for index, file in enumerate(self.files):
            unit = 0
            for piece in range(len(file.pieces)):
                parts: list[UnitParts] = []
                counts = np.zeros(2, dtype=np.int64)
                for chunk in self._chunks(file, piece):
                    if units is not None and len(self.tables) == units:
                        return written
                    batch, made = self._unit(index, file, unit, chunk)
                    parts.append(made)
                    counts += len(batch.scored), len(batch.rejected)
                    unit += 1
                if self.by_reference:
                    reference = self._reference(file, piece, parts, *counts.tolist())
                    write_reference(self.store, reference)
                    written.append(reference)
        return written

    def paths(self, references: Sequence[LogReference]) -> list[str]:
        """Where references lie."""
        return [reference_path(reference) for reference in references]

    def _chunks(self, file: InputSpec, piece: int) -> Iterator[Chunk]:
        groups, first = file.pieces[piece]
        (info,) = self.source.list(file.name)
        start = Position(first) if first else START
        url = self.source.url_of(file.name)
        return read_chunks(
            self.source, file.name, url, info.size, file.format, self.model.schema, "record_id",
            self.chunk_records, file.options, start, groups,
        )  # fmt: skip

    def _unit(
        self, index: int, file: InputSpec, unit: int, chunk: Chunk
    ) -> tuple[LogBatch, UnitParts]:
        model, encoder = self.model, PartEncoder(self.model, "parquet", with_reasons=False)
        scored, refused = score_valid(model, chunk.validate(model.schema))
        kept = np.ones(len(chunk.rows), dtype=np.bool_)
        kept[[r.position for r in refused]] = False
        rows = np.asarray(chunk.rows, dtype=np.int64)[kept].tolist()
        rejected = chunk.located(refused)
        place = self.run_id, index, unit
        paths = scores_path(*place), rejected_path(*place)
        if rows:
            self.output.write(paths[0], encoder.scores(file.name, rows, scored))
        if rejected:
            self.output.write(paths[1], encoder.rejected(file.name, rejected))
        places = [*rows, *(r.position for r in rejected)]
        batch = LogBatch(
            "batch",
            self.run_id,
            self.started_at + timedelta(minutes=5),
            scored,
            tuple(rejected),
            batch_entry_ids(self.run_id, file.name, model.version.digest, places),
            [EVENT_TIME] * len(places),
        )
        self.tables.append(log_table(model.schema, model.output_columns, batch))
        if not self.by_reference:
            ParquetInferenceLog(self.store, model).append(batch)
        return batch, UnitParts(paths[0] if rows else None, paths[1] if rejected else None)

    def _reference(
        self, file: InputSpec, piece: int, parts: list[UnitParts], scored: int, rejected: int
    ) -> LogReference:
        groups, first = file.pieces[piece]
        (info,) = self.source.list(file.name)
        version = self.model.version
        return LogReference(
            request_id=self.run_id,
            file=file.name,
            piece=piece,
            model_name=version.name,
            model_version=version.version,
            model_digest=version.digest,
            event_time=EVENT_TIME,
            started_at=self.started_at,
            scored_at=self.started_at + timedelta(minutes=5),
            input=ReferencedInput(
                storage=self.source.url,
                path=file.name,
                size=info.size,
                etag=info.etag,
                format=file.format,
                record_id_column="record_id",
                chunk_records=self.chunk_records,
                options=file.options,
                start=Position(first) if first else START,
                groups=groups,
            ),
            output=self.output.url,
            units=parts,
            received=scored + rejected,
            scored=scored,
            rejected=rejected,
        )


class _Picky:
    """A backend that fails on records whose first number is above 2."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        if bool((batch.columns[0] > 2.0).any()):
            raise ModelError("too much")
        return self._backend.compute(batch)


def picky(model: ModelBundle) -> ModelBundle:
    """The model, failing on some records."""
    return replace(model, backend=_Picky(model.backend))


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]], group: int = 100) -> None:
    """Records with a record id each, as a file with row groups of so many."""
    path.parent.mkdir(parents=True, exist_ok=True)
    identified = [{"record_id": f"r{i}", **row} for i, row in enumerate(rows)]
    pq.write_table(pa.Table.from_pylist(identified), path, row_group_size=group)
