"""What a replay changed, in a line per dead letter."""

import msgspec

from adapters.storage import Storage
from stream_worker.replay.letters import Letter
from stream_worker.replay.report import Outcome, Run


class _Line(msgspec.Struct, frozen=True):
    """Holds no value of the record."""

    id: str
    record_id: str | None
    code: str
    outcome: Outcome
    new_code: str | None


class Lines:
    """JSON Lines in storage, in files of many lines."""

    def __init__(self, storage: Storage, run: Run) -> None:
        self._storage = storage
        self._run = run
        self._lines: list[bytes] = []
        self._parts = 0

    def __len__(self) -> int:
        """Those that were not written."""
        return len(self._lines)

    def add(self, letter: Letter, outcome: Outcome, new_code: str | None) -> None:
        """Take note of what became of a dead letter that was not filtered out."""
        data = letter.data
        line = _Line(letter.id, data.record_id, data.code, outcome, new_code)
        self._lines.append(msgspec.json.encode(line) + b"\n")

    def write(self) -> None:
        """Put them in a file of their own; blocks. Raises StorageUnavailable."""
        if not self._lines:
            return
        self._parts += 1
        path = self._run.path(f"outcomes-{self._parts:06}.jsonl")
        self._storage.write(path, b"".join(self._lines))
        self._lines.clear()
