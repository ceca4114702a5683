"""Which dead letters were replayed: one small file in storage per batch, one id per line."""

from collections.abc import Sequence
from typing import Final

from adapters.storage import Storage
from stream_worker.repeats import Repeats

ROOT: Final = "replays/ledger"
_LINE_BYTES: Final = 33


class Ledger:
    """The ids of the dead letters whose scores were published and logged, by any run.

    Every method may block on storage. Raises StorageUnavailable.
    """

    def __init__(self, storage: Storage, run_id: str) -> None:
        """Reads what there is; takes about 30 bytes of memory per id."""
        self._storage = storage
        self._run_id = run_id
        self._parts = 0
        files = storage.list(ROOT)
        self._known = Repeats(max(1, sum(file.size for file in files) // _LINE_BYTES))
        for file in files:
            for event_id in storage.read(file.path).decode().splitlines():
                self._known.first(event_id)

    def __contains__(self, event_id: str) -> bool:
        """Whether it was replayed before this run."""
        return event_id in self._known

    def add(self, ids: Sequence[str]) -> None:
        """Returns when they will be known to every run that begins later."""
        if not ids:
            return
        self._parts += 1
        path = f"{ROOT}/run={self._run_id}/{self._parts:06}.txt"
        self._storage.write(path, "".join(f"{i}\n" for i in ids).encode())
