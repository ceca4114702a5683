"""Which hours are due."""

from datetime import UTC, datetime, timedelta

import pytest

from adapters.parquet_log import partition
from adapters.storage import open_storage
from monitoring.watcher import Span
from monitoring.windows import HOUR, Window, due_windows, logged_files
from scoring.records import ModelVersion

START = datetime(2026, 3, 1, 22, tzinfo=UTC)
GRACE = timedelta(minutes=5)
TWO_DAYS = timedelta(hours=48)
MODEL = ModelVersion("catalog.schema.toy", "7", "digest")


def window(hours: int) -> Window:
    """The window so many hours after START."""
    return Window(START + hours * HOUR)


def due(hours: list[int], now: datetime, done: list[int] | None = None) -> list[Window]:
    """What is due when these hours have files."""
    reported = {window(h) for h in done or []}
    return due_windows({window(h): ["file"] for h in hours}, reported, now, GRACE, TWO_DAYS)


@pytest.mark.parametrize(("minutes", "closed"), [(59, False), (60, False), (64, False), (65, True)])
def test_a_window_is_closed_a_grace_after_its_end(minutes: int, closed: bool) -> None:
    """An hour is due from its end plus the grace on, not before."""
    assert due([0], START + timedelta(minutes=minutes)) == ([window(0)] if closed else [])


def test_a_reported_window_is_not_due_again() -> None:
    """What has a report is done, whatever the order of arrival."""
    assert due([0, 1, 2], START + 9 * HOUR, done=[1]) == [window(0), window(2)]


def test_hours_without_entries_are_due_between_hours_with_some() -> None:
    """A silent hour is reported, before the first entry and after the last it is not."""
    assert due([0, 3], START + 9 * HOUR) == [window(h) for h in range(4)]


@pytest.mark.parametrize(("silent", "windows"), [(48, 50), (49, 2)])
def test_a_long_silence_is_skipped(silent: int, windows: int) -> None:
    """More silent hours than the longest gap are not reported one by one."""
    assert len(due([0, silent + 1], START + 99 * HOUR)) == windows


def test_files_are_found_by_hour() -> None:
    """Only the model version's own Parquet files count, by the hour in their path."""
    storage = open_storage("memory://monitoring-windows")
    other = ModelVersion(MODEL.name, "70", "digest")
    later = partition(MODEL, START + 3 * HOUR)
    paths = [f"{partition(MODEL, START)}/part-{i}.parquet" for i in "ab"]
    paths += [f"{later}/part-c.parquet", f"{later}/notes.txt"]
    paths.append(f"{partition(other, START)}/part-d.parquet")
    for path in paths:
        storage.write(path, b"")
    assert logged_files(storage, MODEL) == {window(0): paths[:2], window(3): paths[2:3]}


def test_a_window_has_one_name() -> None:
    """The name in file names can be read back."""
    assert window(3).name == "2026-03-02T01"
    assert Window.named(window(3).name) == window(3)


def test_a_span_limits_the_windows_looked_at() -> None:
    """From `since` on and before `until`, by the window's start; without them every window."""
    bounded = Span(GRACE, since=START + HOUR, until=START + 3 * HOUR)
    assert [window(h) in bounded for h in range(4)] == [False, True, True, False]
    assert all(window(h) in Span(GRACE) for h in range(4))
