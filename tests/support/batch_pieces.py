"""Pieces of real files, and all that scores and records them, put together as the job does it."""

import gc
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from adapters.record_files.chunks import Chunk
from adapters.storage import Storage, open_storage
from batch_scorer.assembly import encoder_of
from batch_scorer.inputs.listing import find_files
from batch_scorer.inputs.planning import Reading, planned
from batch_scorer.ledger import Ledger, PieceReport
from batch_scorer.pieces import PieceReader, PieceRunner
from batch_scorer.plan import Piece, Plan, PlannedFile
from batch_scorer.unit import Outputs, Publisher, UnitScorer
from scoring.inference_log import InferenceLog
from scoring.model import ModelBundle
from tests.support import toy
from tests.support.batch_plans import SHAPE, plan_of

CHUNK = SHAPE.chunk_records

Row = dict[str, Any]
Logged = Callable[[PlannedFile, Piece, PieceReport], None]


def rows(count: int) -> list[Row]:
    """Records with ids, of which every seventh has no `x`."""
    found = [{"record_id": f"e{i}", **row} for i, row in enumerate(toy.records(count), 1)]
    for row in found[6::7]:
        row["x"] = None
    return found


def write_parquet(path: Path, records: Sequence[Row], group: int) -> None:
    """Row groups of so many records."""
    pq.write_table(pa.Table.from_pylist(list(records)), path, row_group_size=group)


def write_jsonl(path: Path, records: Sequence[Row]) -> None:
    """One object a line."""
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))


def write_csv(path: Path, records: Sequence[Row]) -> None:
    """A header and a line a record."""
    lines = [",".join(records[0])]
    for record in records:
        cells = ["" if v is None else str(v) for v in record.values()]
        lines.append(",".join(c.lower() if c in ("True", "False") else c for c in cells))
    path.write_text("\n".join(lines) + "\n")


def chunks_in_memory() -> int:
    """Units whose records somebody still holds."""
    gc.collect()
    return sum(type(thing) is Chunk for thing in gc.get_objects())


def _not_logged(file: PlannedFile, piece: Piece, report: PieceReport) -> None:
    pass


@dataclass(frozen=True)
class Work:
    """A run of what lies in `root`/in as it was planned; its parts and ledger lie in `root`/out."""

    root: Path
    model: ModelBundle
    plan: Plan

    @property
    def output(self) -> Storage:
        """What gets parts and ledger."""
        return open_storage(str(self.root / "out"))

    @property
    def ledger(self) -> Ledger:
        """That of the run."""
        return Ledger(self.output, self.plan.run_id)

    @property
    def directory(self) -> Path:
        """What the run writes."""
        return self.root / "out" / "run=r"

    def runner(
        self,
        log: InferenceLog | None = None,
        publisher: Publisher | None = None,
        logged: Logged = _not_logged,
        stopping: Callable[[], bool] = lambda: False,
        source: Storage | None = None,
    ) -> PieceRunner:
        """A runner of pieces."""
        source, ledger = source or open_storage(str(self.root / "in")), self.ledger
        outputs = Outputs(
            self.output, encoder_of(self.plan, self.model), ledger, log, publisher, lambda: None
        )
        return PieceRunner(
            PieceReader(self.plan, self.model.schema, source),
            UnitScorer(self.plan, self.model, outputs, lambda: toy.NOW),
            ledger,
            logged,
            stopping,
        )

    def parts(self) -> dict[str, bytes]:
        """All part files."""
        kinds = ("scores", "rejected")
        paths = [path for kind in kinds for path in (self.directory / kind).glob("*")]
        return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in paths}

    def written(self) -> dict[str, int]:
        """When each part file was written, in nanoseconds."""
        return {name: (self.directory / name).stat().st_mtime_ns for name in self.parts()}


def planned_work(root: Path, model: ModelBundle, **told: Any) -> Work:
    """The run of what lies in `root`/in."""
    listing = find_files(str(root / "in"))
    reading = Reading(model.schema, SHAPE.record_id_column, {}, CHUNK)
    files = planned(listing.storage, listing.files, reading)
    return Work(root, model, plan_of(*files, input=listing.storage.url, **told))
