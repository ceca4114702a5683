"""What a replay changed, in counts."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

import msgspec

from scoring.records import ModelVersion
from stream_worker.replay.filters import Filters
from stream_worker.replay.letters import Letter

Outcome = Literal["scored", "still_rejected", "no_original", "already_replayed"]

_WORDS: dict[str, str] = {
    "scored": "scored",
    "still_rejected": "still rejected",
    "no_original": "not replayable: without the event",
    "already_replayed": "replayed before",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One call of the command."""

    id: str
    started_at: datetime
    model: ModelVersion
    dead_letters_hub: str
    scores_hub: str
    filters: Filters
    dry_run: bool
    again: bool

    def path(self, name: str) -> str:
        """A file of this run in storage."""
        return f"replays/run={self.id}/{name}"


@dataclass(slots=True)
class Counts:
    """Events of the hub. `read` = `foreign` (no dead letters) + `repeated` + `distinct`, and
    `distinct` is the sum of what follows it.
    """

    read: int = 0
    foreign: int = 0
    repeated: int = 0
    distinct: int = 0
    filtered_out: int = 0
    already_replayed: int = 0
    no_original: int = 0
    scored: int = 0
    still_rejected: int = 0


@dataclass(slots=True)
class Report:
    """Counts, and how often a code became what: (old code, outcome, new code)."""

    counts: Counts = field(default_factory=Counts)
    table: Counter[tuple[str, Outcome, str | None]] = field(default_factory=Counter)

    def note(self, letter: Letter, outcome: Outcome, new_code: str | None) -> None:
        """Count what became of a dead letter that was not filtered out."""
        setattr(self.counts, outcome, getattr(self.counts, outcome) + 1)
        self.table[letter.data.code, outcome, new_code] += 1

    def as_json(self, run: Run, ended_at: datetime) -> bytes:
        """`report.json`."""
        return msgspec.json.format(msgspec.json.encode(self._document(run, ended_at)))

    def _document(self, run: Run, ended_at: datetime) -> dict[str, Any]:
        return {
            "run_id": run.id,
            "started_at": run.started_at,
            "ended_at": ended_at,
            "dry_run": run.dry_run,
            "again": run.again,
            "model": asdict(run.model),
            "dead_letters_hub": run.dead_letters_hub,
            "scores_hub": run.scores_hub,
            "filters": _given(run.filters),
            "counts": asdict(self.counts),
            "outcomes": [
                {"code": code, "outcome": outcome, "new_code": new_code, "count": count}
                for (code, outcome, new_code), count in self._rows()
            ],
        }

    def summary(self, run: Run, url: str) -> str:
        """The same for people."""
        counts = self.counts
        shown = {
            "read": counts.read,
            "no dead letter": counts.foreign,
            "repeats": counts.repeated,
            "dead letters": counts.distinct,
            "  filtered out": counts.filtered_out,
            "  replayed before": counts.already_replayed,
            "  without the event": counts.no_original,
            "  scored": counts.scored,
            "  still rejected": counts.still_rejected,
        }
        title = "would be replayed (dry run)" if run.dry_run else "replayed"
        model = f"{run.model.name} version {run.model.version}"
        lines = [f"{run.dead_letters_hub} {title} with {model}, run {run.id}", ""]
        lines += [f"{name:<22}{count:>12,}" for name, count in shown.items()]
        if self.table:
            lines += ["", f"{'code':<20}{'now':<40}{'count':>8}"]
        for (code, outcome, new_code), count in self._rows():
            now = _WORDS[outcome] + (f": {new_code}" if new_code else "")
            lines.append(f"{code:<20}{now:<40}{count:>8,}")
        return "\n".join([*lines, "", f"report: {url}"])

    def _rows(self) -> list[tuple[tuple[str, Outcome, str | None], int]]:
        return sorted(self.table.items(), key=lambda row: (row[0][0], row[0][1], row[0][2] or ""))


def _given(filters: Filters) -> dict[str, Any]:
    found = asdict(filters) | {"codes": sorted(filters.codes)}
    return {name: value for name, value in found.items() if value not in (None, [])}
