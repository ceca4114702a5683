"""Which hours of event time are due: closed, and not reported yet."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from adapters.log_references import is_reference
from adapters.parquet_log import ROOT
from adapters.storage import Storage
from scoring.records import ModelVersion

HOUR = timedelta(hours=1)

_PARTITION = re.compile(r"/date=(\d{4}-\d{2}-\d{2})/hour=(\d{2})/[^/]+$")


@dataclass(frozen=True, order=True, slots=True)
class Window:
    """One hour of event time, `start` included and `end` not, in UTC."""

    start: datetime

    @property
    def end(self) -> datetime:
        """Where the next window starts."""
        return self.start + HOUR

    @property
    def name(self) -> str:
        """The window in file names: 2026-03-02T12."""
        return f"{self.start:%Y-%m-%dT%H}"

    @classmethod
    def named(cls, name: str) -> "Window":
        """The window of a name. Raises ValueError."""
        return cls(datetime.strptime(name, "%Y-%m-%dT%H").replace(tzinfo=UTC))


def logged_files(storage: Storage, model: ModelVersion) -> dict[Window, list[str]]:
    """The inference log's files of a model version by window, rows and references. Blocks on
    storage.

    Raises StorageUnavailable.
    """
    found: dict[Window, list[str]] = {}
    for info in storage.list(f"{ROOT}/model={model.name}/version={model.version}"):
        partition = _PARTITION.search(info.path)
        if partition and (info.path.endswith(".parquet") or is_reference(info.path)):
            window = Window.named(f"{partition[1]}T{partition[2]}")
            found.setdefault(window, []).append(info.path)
    return found


def due_windows(
    files: Mapping[Window, list[str]],
    done: Collection[Window],
    now: datetime,
    grace: timedelta,
    longest_gap: timedelta,
) -> list[Window]:
    """Closed windows that have no report yet, in order.

    A window is closed when `now` is at or after its end plus `grace`. Hours without a file between
    two hours that have one are due too, unless more than `longest_gap` of them follow each other.
    """
    wanted = _with_gaps(sorted(files), longest_gap)
    return [w for w in wanted if w not in done and now >= w.end + grace]


def _with_gaps(windows: list[Window], longest_gap: timedelta) -> Iterator[Window]:
    previous: Window | None = None
    for window in windows:
        if previous is not None and window.start - previous.end <= longest_gap:
            missing = Window(previous.end)
            while missing < window:
                yield missing
                missing = Window(missing.end)
        yield window
        previous = window
