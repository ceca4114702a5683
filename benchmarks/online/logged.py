"""What stands in the inference log afterwards, by request."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.online.plan import identifier


@dataclass(frozen=True, slots=True)
class Found:
    """Requests that were answered with 200, those of them that have an entry, and how many entries
    stand more than once.
    """

    answered: int
    found: int
    repeated: int

    @property
    def missing(self) -> int:
        """Answered without an entry."""
        return self.answered - self.found


def look_up(storage: Path, answered: Iterable[str]) -> Found:
    """Read the whole log under a storage root. Imports pyarrow."""
    import pyarrow.dataset as ds

    root = storage / "inference-log"
    requests: set[str] = set()
    entries: Counter[str] = Counter()
    if root.exists():
        dataset = ds.dataset(root, format="parquet")
        table = dataset.to_table(columns=["request_id", "entry_id"])
        requests = set(table["request_id"].to_pylist())
        entries = Counter(table["entry_id"].to_pylist())
    return count(requests, entries, answered)


def count(requests: set[str], entries: Counter[str], answered: Iterable[str]) -> Found:
    """`requests` and `entries` are what the log has."""
    wanted = set(answered)
    repeated = sum(times - 1 for times in entries.values())
    return Found(len(wanted), len(wanted & requests), repeated)


def identifiers(prefix: str, numbers: Iterable[int]) -> list[str]:
    """The request ids of a generator's requests."""
    return [identifier(prefix, number) for number in numbers]
