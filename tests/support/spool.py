"""Spools on one directory, and segments as a dead process leaves them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from adapters.spool import SEGMENT_BYTES, OpenSink, SpooledInferenceLog
from adapters.spool_segment import SegmentWriter, encode_header
from adapters.telemetry import LaneMetrics
from scoring.inference_log import LogBatch
from scoring.model import ModelBundle
from tests.support.log_entries import entries
from tests.support.toy import NOW, load_toy, records

NEVER = 3600.0
"""An upload interval that no test lives to see."""

SOON = 0.02


@dataclass
class Spools:
    """A spool directory, the toy model, and counters at zero."""

    directory: Path
    model: ModelBundle
    metrics: LaneMetrics
    opened: list[SpooledInferenceLog] = field(default_factory=list)

    def open(
        self,
        sink: OpenSink,
        interval: float = NEVER,
        max_bytes: int = 10**8,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> SpooledInferenceLog:
        """A log as a process would open it; several may be open."""
        log = SpooledInferenceLog(
            self.directory,
            sink,
            self.model,
            self.metrics,
            interval,
            max_bytes,
            lambda: NOW,
            segment_bytes,
        )
        self.opened.append(log)
        return log

    def batch(self, count: int, request_id: str) -> LogBatch:
        """The entries of a request with that many records."""
        return entries(self.model, records(count), request_id)

    def leave(self, *frames: bytes, name: str = "1", model: ModelBundle | None = None) -> Path:
        """A segment as a process that was killed leaves it."""
        self.directory.mkdir(exist_ok=True)
        path = self.directory / f"{name}.segment"
        writer = SegmentWriter(path, encode_header(model or self.model))
        for frame in frames:
            writer.append(frame)
        writer.close()
        return path

    def files(self) -> list[Path]:
        """What lies in the directory."""
        return sorted(self.directory.iterdir())

    def counted(self, outcome: str) -> float:
        """Inference log entries of an outcome."""
        labels = {"lane": "online", "model": "toy", "version": "7", "outcome": outcome}
        name = "trilane_inference_log_entries_total"
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@contextmanager
def open_spools(root: Path) -> Iterator[Spools]:
    """Spools under a directory; closed at the end without waiting."""
    model = load_toy(root / "bundle", reference=0)
    spools = Spools(root / "spool", model, LaneMetrics("online", "toy", "7"))
    yield spools
    for log in spools.opened:
        log.close(0.0)


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
