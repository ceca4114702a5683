"""Progress as a bar on a terminal."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Display

from batch_scorer.tally import Figures, FileEnd


@contextmanager
def opened_bar(most_files: int, console: Console | None = None) -> Iterator["Bar"]:
    """A bar on stderr, or on a console; at its end it stays as it is."""
    columns = (
        TextColumn("{task.percentage:>3.0f}%"),
        BarColumn(),
        TextColumn("{task.description}"),
    )
    with Display(*columns, console=console or Console(stderr=True)) as display:
        yield Bar(display, most_files)


class Bar:
    """A bar on a terminal, and a line above it for each of the first files that failed."""

    def __init__(self, display: Display, most_files: int) -> None:
        self._display = display
        self._most_files = most_files
        self._task = display.add_task("", total=1.0)
        self._lock = threading.Lock()
        self._failed = 0

    def tell(self, figures: Figures) -> None:
        """How far it is."""
        self._display.update(self._task, completed=figures.share, description=in_words(figures))

    def ended(self, end: FileEnd) -> None:
        """A file is done or has failed."""
        if end.error is None:
            return
        with self._lock:
            self._failed += 1
            shown = self._failed <= self._most_files
        if shown:
            text = f"failed: {end.file}: {end.error}"
            self._display.console.print(text, markup=False, highlight=False)


def in_words(figures: Figures) -> str:
    """The figures as one short line."""
    said = [
        f"{figures.records + figures.resumed:,} records",
        f"{figures.records_per_second:,.0f}/s",
        f"{figures.files_done:,} of {figures.files:,} files",
    ]
    if figures.files_failed:
        said.append(f"{figures.files_failed:,} failed")
    if figures.seconds_left is not None:
        said.append(f"{_span(figures.seconds_left)} left")
    return ", ".join(said)


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
