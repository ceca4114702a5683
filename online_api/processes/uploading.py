"""The uploader's side: `python -m online_api.processes.uploading`, started by `uploader.py`.

It reads its settings from the first line of its standard input, and answers with one line: ready,
or why it cannot be. A second line tells it to upload what there is and end; the input's end says
that whoever started it is dead. It imports nothing of what answers requests.
"""

import gc
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from adapters.logs import setup_logging
from adapters.metric_families import share_metrics
from adapters.spool_sinks import CounterOf, EntryCounter, parquet_sink
from adapters.spool_uploader import SpoolUploader
from adapters.storage import open_storage
from adapters.telemetry import LaneMetrics, MetricFamilies
from scoring.errors import TerminalError
from scoring.records import ModelVersion

NICENESS: Final = 10
ORPHAN_SECONDS: Final = 10.0
"""How long it uploads what is left when whoever started it is dead."""

READY: Final = ""

_DYING_SECONDS: Final = 0.2
"""A dying process closes its pipes and gives up its locks one after the other."""

# A segment of small requests is half a million objects at once, and none of them in a cycle.
_GC_THRESHOLD: Final = (500_000, 10, 10)
_STDIN, _STDOUT = 0, 1
_READ_BYTES: Final = 1 << 16

logger = logging.getLogger(__name__)


class UploadSettings(msgspec.Struct, frozen=True):
    """What the process is told; its text form keeps the secret."""

    spool_dir: str
    storage_url: str
    connection_string: str | None
    interval_seconds: float
    metrics_files: str
    log_level: str

    def __repr__(self) -> str:
        return f"UploadSettings({self.spool_dir!r}, {self.storage_url!r})"


def main() -> int:
    """The process; returns its exit code."""
    # Ctrl-C and a supervisor's SIGTERM reach the whole group; whoever started it says when to end.
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
    os.nice(NICENESS)
    gc.set_threshold(*_GC_THRESHOLD)
    lines = _lines()
    told = next(lines, None)
    if told is None:
        return 0
    settings = msgspec.json.decode(told, type=UploadSettings)
    setup_logging(settings.log_level)
    try:
        storage = open_storage(settings.storage_url, settings.connection_string)
    except TerminalError as error:
        _answer(str(error))
        return 1
    _answer(READY)
    closing, abandoned = threading.Event(), threading.Event()
    watcher = threading.Thread(target=_watch, args=(lines, closing, abandoned), daemon=True)
    watcher.start()
    uploader = SpoolUploader(
        Path(settings.spool_dir),
        parquet_sink(storage),
        counters_in(Path(settings.metrics_files)),
        settings.interval_seconds,
    )
    uploader.run(closing, abandoned)
    return 0


class _Uncounted:
    """For a server that is gone: its metrics are cleared away, and nobody reads them."""

    def logged(self, outcome: Literal["written", "dropped"], entries: int) -> None:
        """Count nothing."""


def counters_in(files: Path) -> CounterOf:
    """Counters in the files that the server's processes share."""
    share_metrics(files)
    families = MetricFamilies(files)
    known: dict[ModelVersion, EntryCounter] = {}

    def counter_of(version: ModelVersion) -> EntryCounter:
        if version not in known:
            try:
                known[version] = LaneMetrics("online", version.name, version.version, families)
            except OSError:
                known[version] = _Uncounted()
        return known[version]

    return counter_of


def _watch(lines: Iterator[bytes], closing: threading.Event, abandoned: threading.Event) -> None:
    """Wait for the word to end, and for the end of whoever would say it."""
    for _ in lines:
        closing.set()
    if not closing.is_set():
        time.sleep(_DYING_SECONDS)
        logger.warning("the server is gone; uploading the rest", extra={"event": "uploader_alone"})
    closing.set()
    time.sleep(ORPHAN_SECONDS)
    abandoned.set()
    time.sleep(_DYING_SECONDS)
    logger.warning(
        "the spool was not emptied in time; the next start uploads the rest",
        extra={"event": "spool_left"},
    )
    os._exit(0)  # a call of the storage does not return


def _lines() -> Iterator[bytes]:
    """The input's lines as they come. Unbuffered: a thread may wait here when the process ends."""
    held = b""
    while data := os.read(_STDIN, _READ_BYTES):
        *lines, held = (held + data).split(b"\n")
        yield from lines


def _answer(refusal: str) -> None:
    os.write(_STDOUT, json.dumps(refusal).encode() + b"\n")


if __name__ == "__main__":
    raise SystemExit(main())
