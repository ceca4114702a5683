"""The books: what was published, and what came of it. Knows no broker and no files."""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.stream.events import SOURCE, Kind, event_id, number_of, subject
from scoring.identifiers import derived_id
from stream_worker.repeats import Repeats

_EVENTS_HUB_PARTS: Final = ("hub", "partition", "offset")


@dataclass(slots=True)
class Account:
    """One entry per event, by its number; scores and dead letters are booked as they are read, the
    ones of a partition in their order.

    What the reader-side helper takes for a repeat is only counted; everything that is checked is
    checked behind it.
    """

    count: int
    subjects: int
    digest: str
    poison: Mapping[int, Kind] = field(default_factory=dict)
    scores_raw: int = 0
    dead_letters_raw: int = 0
    repeats_dropped: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    _done: bytearray = field(init=False)
    _dead: set[int] = field(default_factory=set)
    _last: "array[int]" = field(init=False)
    _places: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    _found: int = 0
    _repeats: Repeats = field(init=False)

    def __post_init__(self) -> None:
        """Room for all of them."""
        self._done = bytearray(self.count)
        self._last = array("q", [-1]) * self.subjects
        self._repeats = Repeats(max(1_000, 2 * self.count))

    @property
    def complete(self) -> bool:
        """Whether every event has its score or dead letter."""
        return self._found == self.count

    @property
    def found(self) -> int:
        """How many events have."""
        return self._found

    @property
    def dead_letters(self) -> int:
        """Distinct ones."""
        return len(self._dead)

    @property
    def scores(self) -> int:
        """Distinct ones."""
        return self._found - len(self._dead)

    def score(self, key: bytes | None, event: Mapping[str, Any]) -> None:
        """Book a score."""
        self.scores_raw += 1
        number = self._first(key, event)
        if number is None:
            return
        whose = subject(number, self.subjects)
        if number in self.poison:
            self.faults["poison that was scored"] += 1
        if event["subject"] != whose or key != whose.encode():
            self.faults["score of another subject"] += 1
        at = number % self.subjects
        if number < self._last[at]:
            self.faults["out of order within its key"] += 1
        self._last[at] = max(number, self._last[at])

    def dead_letter(self, key: bytes | None, event: Mapping[str, Any]) -> None:
        """Book a dead letter."""
        self.dead_letters_raw += 1
        number = self._first(key, event)
        if number is None:
            return
        data = event["data"]
        self._dead.add(number)
        self.codes[data["code"]] += 1
        kind = self.poison.get(number)
        if kind is None:
            self.faults["good event in dead letters"] += 1
        elif kind != data["code"]:
            self.faults["dead letter with another code"] += 1
        if data["causationid"] is None:
            self._places.append((number, tuple(str(data[p]) for p in _EVENTS_HUB_PARTS)))

    def check_log(self, entries: Iterable[str]) -> int:
        """Compare with the ids of the inference log's entries; returns how many stand there more
        than once, which is no fault. Call it once everything is booked.
        """
        counts = Counter(entries)
        expected = self._expected_entries()
        self.faults["not in the inference log"] += len(expected - counts.keys())
        self.faults["unknown in the inference log"] += len(counts.keys() - expected)
        return counts.total() - len(counts)

    def settled(self) -> Mapping[str, int]:
        """Everything that must not be, missing events included; only what is above zero."""
        found = self.faults + Counter({"lost": self.count - self._found})
        return {name: count for name, count in found.items() if count > 0}

    def _first(self, key: bytes | None, event: Mapping[str, Any]) -> int | None:
        """The number of the event, if this is not a repeat."""
        number = number_of(event["data"].get("causationid"), key)
        if number is None or number >= self.count:
            self.faults["about an event that was never published"] += 1
            return None
        if not self._repeats.first(event["id"]):
            self.repeats_dropped += 1
            return None
        if self._done[number]:
            self.faults["twice, behind the helper that drops repeats"] += 1
            return None
        self._done[number] = 1
        self._found += 1
        return number

    def _expected_entries(self) -> set[str]:
        places = dict(self._places)
        found = set()
        for number in range(self.count):
            origin = places.get(number, (SOURCE, event_id(number)))
            found.add(derived_id(*origin, self.digest))
        return found
