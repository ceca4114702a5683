"""Events with numbers: who published what can be told from what came out of it.

Event `n` has the id `PREFIX` + n and belongs to subject `s` + (n modulo subjects), so the events of
one subject have growing numbers. Its record is one of the bundle's reference.
"""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from benchmarks.online.bodies import Records, known_records, read_manifest
from scoring.manifest import ColumnSpec

SOURCE: Final = "urn:trilane:bench"
PREFIX: Final = "e"
TIME: Final = "2026-11-23T10:30:00Z"
TOO_LARGE_BYTES: Final = 901_000

Kind = Literal[
    "malformed", "missing_field", "unknown_field", "null_value", "wrong_type", "not_finite",
    "invalid_record_id", "too_large",
]  # fmt: skip
KINDS: Final[tuple[Kind, ...]] = (
    "malformed", "missing_field", "unknown_field", "null_value", "wrong_type", "not_finite",
    "invalid_record_id", "too_large",
)  # fmt: skip
"""Ways in which an event is poison; each is the code its dead letter must have."""

_RECORDS: Final = 500


class EventPlan(msgspec.Struct, frozen=True):
    """Which events: `count` of them; of those from `poison_from` on, a share is poison."""

    bundle: str
    count: int
    subjects: int
    poison_share: float = 0.0
    poison_from: int = 0
    seed: int = 7
    kinds: tuple[Kind, ...] = KINDS

    def poison(self) -> Mapping[int, Kind]:
        """The kind of each poisonous event, by number."""
        chances = random.Random(self.seed)  # noqa: S311
        candidates = range(self.poison_from, self.count)
        numbers = chances.sample(candidates, round(len(candidates) * self.poison_share))
        kinds = self.kinds
        return {number: kinds[at % len(kinds)] for at, number in enumerate(sorted(numbers))}


class EventMaker:
    """The events of a plan, ready to be sent. Takes about a microsecond for each."""

    def __init__(self, plan: EventPlan) -> None:
        """Reads the bundle's reference."""
        self._subjects = plan.subjects
        self._poison = plan.poison()
        bundle = Path(plan.bundle)
        self._columns = read_manifest(bundle).inputs
        self._records = records_of(bundle, _RECORDS)
        self._data = [msgspec.json.encode(record) for record in self._records]

    def key(self, number: int) -> bytes:
        """Its key: the subject. Poison has one of its own, by which its dead letter can be known
        even where nothing of it could be decoded.
        """
        if number in self._poison:
            return poison_key(number)
        return subject(number, self._subjects).encode()

    def value(self, number: int) -> bytes:
        """Its bytes."""
        kind = self._poison.get(number)
        data = self._data[number % len(self._data)]
        whose = subject(number, self._subjects)
        if kind is None:
            return _envelope(number, whose, data)
        if kind == "malformed":
            return _envelope(number, whose, data)[:-2]
        if kind == "too_large":
            return _envelope(number, whose, data) + b" " * TOO_LARGE_BYTES
        if kind == "invalid_record_id":
            return _envelope(number, "", data)
        record = self._records[number % len(self._records)]
        return _envelope(number, whose, _spoilt(kind, record, self._columns))


def subject(number: int, subjects: int) -> str:
    """Whom an event is about."""
    return f"s{number % subjects}"


def event_id(number: int) -> str:
    """The id of an event."""
    return f"{PREFIX}{number}"


def number_of(causation_id: object, key: bytes | None) -> int | None:
    """The number of the event that a score or a dead letter is about, if it is one of ours."""
    if isinstance(causation_id, str):
        text = causation_id.removeprefix(PREFIX)
    else:
        text = (key or b"").decode("ascii", "replace").removeprefix(_POISON)
    return int(text) if text.isdecimal() else None


def poison_key(number: int) -> bytes:
    """The key of a poisonous event."""
    return f"{_POISON}{number}".encode()


def records_of(bundle: Path, count: int) -> Records:
    """Up to so many records of the reference, or the example where there is none."""
    manifest = read_manifest(bundle)
    if manifest.reference is not None:
        return known_records(bundle, count)
    return [dict(manifest.example or {})]


_POISON: Final = "poison-"


def _envelope(number: int, whose: str, data: bytes) -> bytes:
    head = (
        f'{{"specversion":"1.0","id":"{PREFIX}{number}","source":"{SOURCE}",'
        f'"type":"hr.employee.updated","subject":"{whose}","time":"{TIME}","data":'
    )
    if not whose:
        head = head.replace('"subject":"",', "")
    return head.encode() + data + b"}"


def _spoilt(kind: Kind, record: Mapping[str, Any], columns: list[ColumnSpec]) -> bytes:
    first = columns[0].name
    number = next(c.name for c in columns if c.type in ("long", "integer", "double", "float"))
    ways: Mapping[str, Callable[[], dict[str, Any]]] = {
        "missing_field": lambda: {k: v for k, v in record.items() if k != first},
        "unknown_field": lambda: {**record, "not_a_feature": 1},
        "null_value": lambda: {**record, first: None},
        "wrong_type": lambda: {**record, number: "many"},
        "not_finite": lambda: {**record, number: _HOLE},
    }
    # JSON has no NaN, and so no encoder writes one.
    return msgspec.json.encode(ways[kind]()).replace(f'"{_HOLE}"'.encode(), b"NaN")


_HOLE: Final = "?NaN?"
