"""Batch runs in this process, over seven pieces of three formats, and what they leave."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from batch_scorer.job import run_job
from batch_scorer.outcome import Outcome
from batch_scorer.settings import BatchSettings
from batch_scorer.unit import Clock
from tests.support import toy
from tests.support.batch_pieces import rows, write_csv, write_jsonl, write_parquet
from tests.support.batch_runs import BatchRun, adds_up, without_times

CHUNK = 20
PARQUET, TEXT = 400, 130
RECEIVED = PARQUET + 2 * TEXT


@dataclass
class Night:
    """Runs below `root`; `options` are those of all of them."""

    bundle: Path
    root: Path
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> Path:
        """The input."""
        return self.root / "in"

    def run(self, clock: Clock = lambda: toy.NOW, **options: Any) -> Outcome:
        """One attempt; the clock stands still."""
        told: dict[str, Any] = {
            "bundle": self.bundle,
            "input": str(self.source),
            "output": str(self.root / "out"),
            "storage_url": str(self.root / "store"),
            "run_id": "r",
            "chunk_records": CHUNK,
            "lease_wait_seconds": 0,
        }
        return run_job(BatchSettings(**(told | self.options | options)), clock)

    def complete(self, **options: Any) -> str:
        """An attempt that completes the run."""
        outcome = self.run(**options)
        assert outcome.failure is None, outcome
        return outcome.text

    def files(self) -> BatchRun:
        """What the run `r` left."""
        return BatchRun(self.bundle, self.source, self.root)

    def manifest(self, run_id: str = "r") -> dict[str, Any]:
        """A run manifest."""
        path = self.root / "out" / f"run={run_id}" / "manifest.json"
        found: dict[str, Any] = json.loads(path.read_bytes())
        return found

    def scores(self, run_id: str = "r") -> list[tuple[str, int, float]]:
        """File, row and score of everything that was scored."""
        parts = sorted((self.root / "out" / f"run={run_id}" / "scores").iterdir())
        table = pa.concat_tables([pq.read_table(part) for part in parts])
        return [(r["file"], r["row"], r["score"]) for r in table.to_pylist()]


def write_input(source: Path) -> None:
    """Parquet of five pieces, CSV and JSON Lines, in that order."""
    source.mkdir(parents=True, exist_ok=True)
    records = rows(RECEIVED)
    write_parquet(source / "a.parquet", records[:PARQUET], 40)
    write_csv(source / "b.csv", records[PARQUET : PARQUET + TEXT])
    write_jsonl(source / "c.jsonl", records[PARQUET + TEXT :])


def counted(night: Night) -> dict[str, Any]:
    """The manifest without times and without what says where and when the files were written."""
    plain = without_times(night.manifest())
    del plain["input"]
    plain["inputs"] = [
        {k: v for k, v in i.items() if k not in ("url", "etag")} for i in plain["inputs"]
    ]
    return plain


def check_same(night: Night, whole: Night) -> None:
    """Parts to the byte, and the manifest; nothing of the work is left."""
    assert night.files().parts() == whole.files().parts()
    assert counted(night) == counted(whole)
    adds_up(night.manifest(), RECEIVED)
    left = (night.root / "out/run=r/_run").rglob("*")
    assert [path for path in left if path.is_file()] == []


def written(night: Night) -> dict[str, int]:
    """When each Parquet part was written, in nanoseconds."""
    parts = (night.root / "out/run=r").glob("*/*.parquet")
    return {f"{p.parent.name}/{p.name}": p.stat().st_mtime_ns for p in parts}


def tree(night: Night) -> dict[str, bytes]:
    """Everything in the output."""
    out = night.root / "out"
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}
