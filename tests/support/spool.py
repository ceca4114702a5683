"""Spools on one directory with their uploaders, and segments as a dead process leaves them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from adapters.spool import SEGMENT_BYTES, SpooledInferenceLog
from adapters.spool_frame import FrameEncoder
from adapters.spool_segment import SegmentWriter, encode_header
from adapters.spool_sinks import OpenSink
from adapters.spool_uploader import MERGED_BYTES, SpoolUploader
from adapters.telemetry import LaneMetrics, MetricFamilies
from scoring.inference_log import LogBatch
from scoring.model import ModelBundle
from scoring.records import ModelVersion
from tests.support.log_entries import entries
from tests.support.toy import NOW, load_toy, records

NEVER = 3600.0
"""An interval that no test lives to see."""

SOON = 0.02


class Uploading:
    """An uploader at work in a thread, as it is in its process."""

    def __init__(self, uploader: SpoolUploader) -> None:
        self._closing, self._abandoned = threading.Event(), threading.Event()
        work = (self._closing, self._abandoned)
        self._thread = threading.Thread(target=uploader.run, args=work, daemon=True)
        self._thread.start()

    def drain(self, deadline_seconds: float = 10.0) -> bool:
        """Have it upload what there is, and end it; whether it was done by the deadline."""
        self._closing.set()
        self._thread.join(deadline_seconds)
        done = not self._thread.is_alive()
        self._abandoned.set()
        self._thread.join(10.0)
        return done


@dataclass
class Spools:
    """A spool directory, the toy model, and counters at zero."""

    directory: Path
    model: ModelBundle
    families: MetricFamilies = field(default_factory=MetricFamilies)
    opened: list[SpooledInferenceLog] = field(default_factory=list)
    uploading: list[Uploading] = field(default_factory=list)

    @property
    def metrics(self) -> LaneMetrics:
        """Of the toy model."""
        return self.metrics_of(self.model.version)

    def metrics_of(self, version: ModelVersion) -> LaneMetrics:
        """Where a version's entries are counted."""
        return LaneMetrics("online", version.name, version.version, self.families)

    def open(
        self,
        rotate_seconds: float = NEVER,
        max_bytes: int = 10**8,
        segment_bytes: int = SEGMENT_BYTES,
        refuse_when_full: bool = False,
        model: ModelBundle | None = None,
    ) -> SpooledInferenceLog:
        """A log as a process would open it; several may be open."""
        model = model or self.model
        log = SpooledInferenceLog(
            self.directory,
            model,
            self.metrics_of(model.version),
            rotate_seconds=rotate_seconds,
            max_bytes=max_bytes,
            clock=lambda: NOW,
            refuse_when_full=refuse_when_full,
            segment_bytes=segment_bytes,
        )
        self.opened.append(log)
        return log

    def uploader(self, sink: OpenSink, interval: float = NEVER) -> SpoolUploader:
        """An uploader; several may be at work."""
        return SpoolUploader(self.directory, sink, self.metrics_of, interval)

    def upload(self, sink: OpenSink, merged_bytes: int = MERGED_BYTES) -> bool:
        """One pass of an uploader that has just been started."""
        uploader = SpoolUploader(self.directory, sink, self.metrics_of, NEVER, merged_bytes)
        return uploader.upload()

    def run(self, sink: OpenSink, interval: float = SOON) -> Uploading:
        """An uploader that works until the test is over."""
        running = Uploading(self.uploader(sink, interval))
        self.uploading.append(running)
        return running

    def batch(self, count: int, request_id: str) -> LogBatch:
        """The entries of a request with that many records."""
        return entries(self.model, records(count), request_id)

    def frame(self, count: int, request_id: str) -> bytes:
        """Their frame."""
        return bytes(FrameEncoder(self.model).encode(self.batch(count, request_id)))

    def leave(self, *batches: LogBatch, name: str = "1", model: ModelBundle | None = None) -> Path:
        """A segment as a process that was killed leaves it; `model` is what its header names."""
        self.directory.mkdir(exist_ok=True)
        hidden = self.directory / f"{name}.hidden"  # from an uploader that is at work
        writer = SegmentWriter(hidden, encode_header(model or self.model))
        for batch in batches:
            writer.append(FrameEncoder(self.model).encode(batch), len(batch))
        writer.close()
        return hidden.rename(self.directory / f"{name}.segment")

    def files(self) -> list[Path]:
        """What lies in the directory."""
        return sorted(self.directory.iterdir())

    def counted(self, outcome: str, model: str = "toy", version: str = "7") -> float:
        """Inference log entries of an outcome."""
        labels = {"lane": "online", "model": model, "version": version, "outcome": outcome}
        name = "trilane_inference_log_entries_total"
        return self.families.registry.get_sample_value(name, labels) or 0.0


@contextmanager
def open_spools(root: Path) -> Iterator[Spools]:
    """Spools under a directory; closed at the end without waiting."""
    spools = Spools(root / "spool", load_toy(root / "bundle", reference=0))
    yield spools
    for log in spools.opened:
        log.close()
    for running in spools.uploading:
        running.drain(0.0)


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
