"""Which entries of a window were met already, so that each is counted once."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

KEYS: Final = ("entry_id", "lane", "outcome")
"""Columns without a null; text."""


def keyed(table: pa.Table) -> pa.Table:
    """The table with its keys as text. Raises ArrowException, KeyError, ValueError when it is no
    part of the inference log.
    """
    for name in KEYS:
        values = table[name].cast(pa.string())
        if values.null_count:
            raise ValueError(f"a null in {name}")
        table = table.set_column(table.schema.get_field_index(name), name, values)
    return table


@dataclass
class Seen:
    """What was met so far: about 0.1 GB for a million ids.

    `runs` are the request ids of batch entries. `counted` are rejected entries by lane whose ids
    are not kept.
    """

    scored: set[str] = field(default_factory=set)
    rejected: dict[str, str] = field(default_factory=dict)
    runs: set[str] = field(default_factory=set)
    counted: Counter[str] = field(default_factory=Counter)

    def fresh(self, table: pa.Table) -> pa.Table:
        """The scored entries that were not met before; takes note of all."""
        fresh = []
        columns = (table[name].to_pylist() for name in KEYS)
        for entry_id, lane, outcome in zip(*columns, strict=True):
            if outcome == "scored":
                fresh.append(entry_id not in self.scored)
                self.scored.add(entry_id)
            else:
                fresh.append(False)
                self.rejected.setdefault(entry_id, lane)
        if "request_id" in table.column_names:
            of_batch = table.filter(pc.equal(table["lane"], "batch"))
            self.runs.update(pc.unique(of_batch["request_id"]).to_pylist())
        return table.filter(pa.array(fresh, pa.bool_()))

    def count(self, table: pa.Table) -> pa.Table:
        """The scored entries of a table that has them first, and none of which was met before."""
        scored = int(pc.sum(pc.equal(table["outcome"], "scored")).as_py() or 0)
        self.counted.update(table["lane"].slice(scored).to_pylist())
        return table.slice(0, scored)

    def rejections(self) -> Counter[str]:
        """Entries by lane that were rejected and never scored."""
        by_id = Counter(lane for i, lane in self.rejected.items() if i not in self.scored)
        return by_id + self.counted
