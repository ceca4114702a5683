"""What a run says while it works, on stderr: a bar on a terminal, log lines anywhere else."""

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol

from batch_scorer.inputs import InputFile
from batch_scorer.run_manifest import InputReport

if TYPE_CHECKING:
    from rich.progress import Progress as BarDisplay

SECONDS_BETWEEN_LINES: Final = 5.0

_log = logging.getLogger(__name__)


class Progress(Protocol):
    """Is told of every chunk and file. Never gets a value of a record."""

    def chunk(self, source: InputFile, records: int, share: float) -> None:
        """So many more records are done; `share` of the file has been read."""
        ...

    def file(self, report: InputReport) -> None:
        """A file is done."""
        ...


@contextmanager
def show_progress(files: Sequence[InputFile], clock: Callable[[], datetime]) -> Iterator[Progress]:
    """The progress that fits where stderr goes."""
    if not sys.stderr.isatty():
        yield _LogLines(clock)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as BarDisplay

    columns = (
        TextColumn("{task.fields[file]}"),
        BarColumn(),
        TextColumn("{task.fields[records]:,} records, {task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
    )
    with BarDisplay(*columns, console=Console(stderr=True)) as display:
        yield _Bar(display, files)


class _LogLines:
    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._started = self._last = clock()
        self._records = 0

    def chunk(self, source: InputFile, records: int, share: float) -> None:
        self._records += records
        now = self._clock()
        if (now - self._last).total_seconds() < SECONDS_BETWEEN_LINES:
            return
        self._last = now
        seconds = (now - self._started).total_seconds()
        figures = {
            "file": source.name,
            "file_share": round(share, 3),
            "records": self._records,
            "records_per_second": round(self._records / seconds),
        }
        _log.info("scoring", extra=figures)

    def file(self, report: InputReport) -> None:
        counts = {"received": report.received, "scored": report.scored, "rejected": report.rejected}
        _log.info("file done", extra={"file": report.file, **counts, "seconds": report.seconds})


class _Bar:
    def __init__(self, display: "BarDisplay", files: Sequence[InputFile]) -> None:
        self._display = display
        self._files = len(files)
        self._records = 0
        self._bytes_before = 0
        total = max(1, sum(file.size for file in files))
        self._task = display.add_task("", total=total, file="", records=0, rate=0.0)

    def chunk(self, source: InputFile, records: int, share: float) -> None:
        self._records += records
        seconds = self._display.tasks[self._task].elapsed or 1e-9
        self._display.update(
            self._task,
            completed=self._bytes_before + round(share * source.size),
            file=f"{source.name} ({source.index + 1}/{self._files})",
            records=self._records,
            rate=self._records / seconds,
        )

    def file(self, report: InputReport) -> None:
        self._bytes_before += report.size
        self._display.update(self._task, completed=self._bytes_before)
