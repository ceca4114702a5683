"""What a window's log says by reference: which references count, and their entries.

Nothing is counted twice. A run is logged one way only: its plan pins that, and the event time. A
piece has one reference, which a repeat replaces, and the pieces of a file share no row. References
of a run that was begun anew since, or of a file that was replaced since, count for nothing. So the
ids of referenced entries are not needed, and a window of ten million does not hold them in memory.
Only where a run of the same id logged rows into the window too, ids are compared.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from adapters.log_references import LogReference, read_reference
from adapters.log_resolution import Opener, resolve
from adapters.storage import Storage
from monitoring.columns import WatchedColumn
from monitoring.seen import KEYS
from scoring.errors import InputError, StorageUnavailable
from scoring.model import ModelDescription


@dataclass(frozen=True, slots=True)
class Resolver:
    """What it takes to make entries of references: the model, and what opens their storages."""

    model: ModelDescription
    opened: Opener

    def entries(
        self,
        reference: LogReference,
        watched: Sequence[WatchedColumn],
        with_ids: bool,
        problem: Callable[[str], None],
    ) -> Iterator[pa.Table]:
        """Entries with their keys and the watched columns, a table per unit; see `resolve`."""
        keys = KEYS if with_ids else KEYS[1:]
        wanted = {*keys, *(column.column for column in watched)}
        return resolve(reference, self.model, self.opened, problem, wanted)


def read_references(
    storage: Storage, files: Sequence[str], damaged: Callable[[str, str], None]
) -> dict[str, LogReference]:
    """The references of a window that count, by path; blocks on storage.

    `damaged` is told the path of one that cannot be read, and why. Raises StorageUnavailable.
    """
    found: dict[str, LogReference] = {}
    for path in files:
        try:
            found[path] = read_reference(storage, path)
        except InputError as error:
            raise StorageUnavailable(f"{path} vanished while its window was read") from error
        except ValueError:
            damaged(path, "it is damaged or of a later version")
    return _current(found)


def _current(found: dict[str, LogReference]) -> dict[str, LogReference]:
    """Without those of runs that were begun anew since, and of files that were replaced since."""
    begun: dict[tuple[str, str], datetime] = {}
    for each in found.values():
        run = each.request_id, each.output
        begun[run] = max(begun.get(run, each.started_at), each.started_at)
    latest: dict[tuple[str, str, str], LogReference] = {}
    for each in found.values():
        run = each.request_id, each.output
        before = latest.setdefault((*run, each.file), each)
        if (each.started_at, each.scored_at) > (before.started_at, before.scored_at):
            latest[*run, each.file] = each
    return {
        path: each
        for path, each in found.items()
        if each.started_at == begun[each.request_id, each.output]
        and each.input.etag == latest[each.request_id, each.output, each.file].input.etag
    }
