"""From the log's files of one window to one profile per lane and column."""

import io
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from adapters.log_references import LogReference, is_reference
from adapters.storage import Storage
from monitoring.columns import selected
from monitoring.profile import Profile, merge
from monitoring.reference import Reference, profile_column
from monitoring.references import Resolver, read_references
from monitoring.seen import Seen, keyed
from scoring.errors import InputError, StorageUnavailable

BATCH_RECORDS = 65_536
"""Records profiled at once: what bounds the memory for features, beside one file."""

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
    """A window's entries by lane, and the files of which not all could be read."""

    lanes: Mapping[str, LaneProfile]
    damaged_files: tuple[str, ...]

    @property
    def together(self) -> LaneProfile:
        """All lanes in one."""
        return sum(self.lanes.values(), NOTHING)


def read_entries(
    storage: Storage,
    files: Sequence[str],
    reference: Reference,
    resolver: Resolver | None = None,
) -> WindowEntries:
    """Read and profile a window's files; blocks on storage.

    An entry id that was logged twice counts once, and as scored if it ever was. Entries that were
    logged by reference are made by the resolver; without one, references count as damaged. A
    damaged file is skipped and named, and so is a reference of which not all can be had: what can
    be is counted. Raises StorageUnavailable.
    """
    window = _Window(storage, reference, resolver)
    window.read([path for path in files if not is_reference(path)])
    window.read_references([path for path in files if is_reference(path)])
    return window.entries()


class _Window:
    """The entries of one window, while they are read."""

    def __init__(self, storage: Storage, reference: Reference, resolver: Resolver | None) -> None:
        self._storage = storage
        self._reference = reference
        self._resolver = resolver
        self._lanes: dict[str, LaneProfile] = {}
        self._damaged: dict[str, None] = {}
        self._seen = Seen()

    def entries(self) -> WindowEntries:
        """What was read."""
        lanes = dict(self._lanes)
        for lane, count in self._seen.rejections().items():
            lanes[lane] = lanes.get(lane, NOTHING) + LaneProfile(0, count, {}, {})
        return WindowEntries(dict(sorted(lanes.items())), tuple(self._damaged))

    def read(self, files: Sequence[str]) -> None:
        """Files of rows."""
        self._profile(self._fresh(self._tables(files)))

    def read_references(self, files: Sequence[str]) -> None:
        """References; after the rows."""
        if self._resolver is None:
            for path in files:
                self._damage(path, "entries by reference are not read here")
            return
        found = read_references(self._storage, files, self._damage)
        self._profile(self._referenced(found, self._resolver))

    def _referenced(
        self, found: Mapping[str, LogReference], resolver: Resolver
    ) -> Iterator[pa.Table]:
        for path, each in found.items():
            both = each.request_id in self._seen.runs
            tables = resolver.entries(
                each, self._reference.watched, both, partial(self._damage, path)
            )
            yield from self._fresh(tables) if both else map(self._seen.count, tables)

    def _damage(self, path: str, why: str) -> None:
        if path not in self._damaged:  # a piece may have many units that say the same
            _log.warning("not all entries of %s can be read: %s", path, why)
        self._damaged[path] = None

    def _tables(self, files: Sequence[str]) -> Iterator[pa.Table]:
        for path in files:
            try:
                data = self._storage.read(path)
            except InputError as error:
                raise StorageUnavailable(f"{path} vanished while its window was read") from error
            try:
                table = keyed(pq.read_table(io.BytesIO(data)))
            except (OSError, KeyError, ValueError, pa.ArrowException):
                self._damage(path, "it is damaged, or has no keys")
                continue
            yield table

    def _fresh(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The scored entries that were not met before."""
        for table in tables:
            for start in range(0, table.num_rows, BATCH_RECORDS):
                yield self._seen.fresh(table.slice(start, BATCH_RECORDS))

    def _profile(self, tables: Iterable[pa.Table]) -> None:
        for group in _groups(tables):
            for lane, part in _profiled(group, self._reference).items():
                self._lanes[lane] = self._lanes.get(lane, NOTHING) + part


def _groups(tables: Iterable[pa.Table]) -> Iterator[list[pa.Table]]:
    """Tables in groups of BATCH_RECORDS or more: a window may consist of very many small files."""
    group: list[pa.Table] = []
    records = 0
    for table in tables:
        group.append(table)
        records += table.num_rows
        if records >= BATCH_RECORDS:
            yield group
            group, records = [], 0
    if group:
        yield group


def _profiled(tables: Sequence[pa.Table], reference: Reference) -> dict[str, LaneProfile]:
    parts: dict[str, list[pa.Table]] = {}
    unreadable: dict[str, dict[str, int]] = {}
    for table in tables:
        lanes = pc.unique(table["lane"]).to_pylist()
        for lane in lanes:
            of_lane = table.filter(pc.equal(table["lane"], lane)) if len(lanes) > 1 else table
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
