"""From the log's files of one window to one profile per lane and column."""

import io
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from adapters.storage import Storage
from monitoring.columns import selected
from monitoring.profile import Profile, merge
from monitoring.reference import Reference, profile_column
from scoring.errors import InputError, StorageUnavailable

BATCH_RECORDS = 65_536
"""Records profiled at once: what bounds the memory for features, beside one file."""

_KEYS = ("entry_id", "lane", "outcome")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LaneProfile:
    """What one lane logged in a window, each entry counted once.

    `columns` has a profile per column that the reference knows, keyed by name in the log; empty
    when nothing was scored. `unreadable` counts the records whose file lacks a column or has it
    in another type.
    """

    scored: int
    rejected: int
    columns: Mapping[str, Profile]
    unreadable: Mapping[str, int]

    def __add__(self, other: "LaneProfile") -> "LaneProfile":
        """Both lanes' entries together."""
        if not self.columns or not other.columns:
            columns = self.columns or other.columns
        else:
            columns = {n: merge(p, other.columns[n]) for n, p in self.columns.items()}
        names = self.unreadable.keys() | other.unreadable.keys()
        unreadable = {n: self.unreadable.get(n, 0) + other.unreadable.get(n, 0) for n in names}
        return LaneProfile(
            self.scored + other.scored, self.rejected + other.rejected, columns, unreadable
        )


NOTHING = LaneProfile(0, 0, {}, {})


@dataclass(frozen=True)
class WindowEntries:
    """A window's entries by lane, and the files that could not be read as Parquet."""

    lanes: Mapping[str, LaneProfile]
    damaged_files: tuple[str, ...]

    @property
    def together(self) -> LaneProfile:
        """All lanes in one."""
        return sum(self.lanes.values(), NOTHING)


@dataclass
class _Seen:
    """Entry ids met so far: about 0.1 GB for a million."""

    scored: set[str] = field(default_factory=set)
    rejected: dict[str, str] = field(default_factory=dict)


def read_entries(storage: Storage, files: Sequence[str], reference: Reference) -> WindowEntries:
    """Read and profile a window's files; blocks on storage.

    An entry id that was logged twice counts once, and as scored if it ever was. A damaged file is
    skipped and named. Raises StorageUnavailable.
    """
    seen = _Seen()
    damaged: list[str] = []
    lanes: dict[str, LaneProfile] = {}
    for batch in _batches(_tables(storage, files, damaged)):
        for lane, part in _profiled(batch, seen, reference).items():
            lanes[lane] = lanes.get(lane, NOTHING) + part
    rejected = Counter(lane for i, lane in seen.rejected.items() if i not in seen.scored)
    for lane, count in rejected.items():
        lanes[lane] = lanes.get(lane, NOTHING) + LaneProfile(0, count, {}, {})
    return WindowEntries(dict(sorted(lanes.items())), tuple(damaged))


def _tables(storage: Storage, files: Sequence[str], damaged: list[str]) -> Iterator[pa.Table]:
    for path in files:
        try:
            data = storage.read(path)
        except InputError as error:
            raise StorageUnavailable(f"{path} vanished while its window was read") from error
        try:
            table = _keyed(pq.read_table(io.BytesIO(data)))
        except (OSError, KeyError, ValueError, pa.ArrowException):
            _log.warning("%s is not a readable part of the inference log", path)
            damaged.append(path)
            continue
        yield table


def _keyed(table: pa.Table) -> pa.Table:
    for name in _KEYS:
        values = table[name].cast(pa.string())
        if values.null_count:
            raise ValueError(f"a null in {name}")
        table = table.set_column(table.schema.get_field_index(name), name, values)
    return table


def _batches(tables: Iterator[pa.Table]) -> Iterator[list[pa.Table]]:
    """Tables in groups of about BATCH_RECORDS: a window may consist of very many small files."""
    group: list[pa.Table] = []
    records = 0
    for table in tables:
        for start in range(0, table.num_rows, BATCH_RECORDS):
            part = table.slice(start, BATCH_RECORDS)
            group.append(part)
            records += part.num_rows
            if records >= BATCH_RECORDS:
                yield group
                group, records = [], 0
    if group:
        yield group


def _profiled(
    tables: Sequence[pa.Table], seen: _Seen, reference: Reference
) -> dict[str, LaneProfile]:
    parts: dict[str, list[pa.Table]] = {}
    unreadable: dict[str, dict[str, int]] = {}
    for table in tables:
        fresh = table.filter(pa.array(_fresh(table, seen), pa.bool_()))
        for lane in pc.unique(fresh["lane"]).to_pylist():
            of_lane = fresh.filter(pc.equal(fresh["lane"], lane))
            values, problems = selected(of_lane, reference.watched)
            parts.setdefault(lane, []).append(values)
            counts = unreadable.setdefault(lane, {})
            for name in problems:
                counts[name] = counts.get(name, 0) + of_lane.num_rows
    return {
        lane: _lane_profile(pa.concat_tables(values), unreadable[lane], reference)
        for lane, values in parts.items()
    }


def _lane_profile(
    values: pa.Table, unreadable: Mapping[str, int], reference: Reference
) -> LaneProfile:
    columns = {
        name: profile_column(known.profile.grid, values[name])
        for name, known in reference.columns.items()
    }
    return LaneProfile(values.num_rows, 0, columns, unreadable)


def _fresh(table: pa.Table, seen: _Seen) -> list[bool]:
    """Which rows are scored entries that were not met before; takes note of all."""
    fresh = []
    columns = (table[name].to_pylist() for name in _KEYS)
    for entry_id, lane, outcome in zip(*columns, strict=True):
        if outcome == "scored":
            fresh.append(entry_id not in seen.scored)
            seen.scored.add(entry_id)
        else:
            fresh.append(False)
            seen.rejected.setdefault(entry_id, lane)
    return fresh
