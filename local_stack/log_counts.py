"""How many entries the inference log holds, as any reader of the Parquet dataset would count."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from scoring.errors import TerminalError

LaneOutcome = tuple[str, str]


def wait_for_entries(
    storage: Path, expected: int, seconds: float, heartbeat: Callable[[str], None]
) -> Counter[LaneOutcome]:
    """Distinct entries by (lane, outcome), once there are at least `expected` of them.

    Raises TerminalError after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while (counts := count_entries(storage)).total() < expected:
        if time.monotonic() > deadline:
            raise TerminalError(
                f"the inference log holds {counts.total()} of {expected} entries after {seconds} s"
            )
        heartbeat(f"{counts.total():,} of {expected:,} entries")
        time.sleep(0.3)
    return counts


def count_entries(storage: Path) -> Counter[LaneOutcome]:
    """Distinct entries by (lane, outcome); repeats of an entry id count once."""
    import pyarrow.parquet as pq

    lanes: dict[str, LaneOutcome] = {}
    for file in sorted((storage / "inference-log").rglob("*.parquet")):
        table = pq.ParquetFile(file).read(columns=["entry_id", "lane", "outcome"])
        for row in table.to_pylist():
            lanes[row["entry_id"]] = (row["lane"], row["outcome"])
    return Counter(lanes.values())
