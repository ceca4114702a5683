"""Whether the books would show it: each fault is made on purpose, and must be reported."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.online.report import Bar
from benchmarks.stream.accounts import Account
from benchmarks.stream.bench import Bench
from benchmarks.stream.events import SOURCE, Kind, event_id, poison_key, subject
from scoring.identifiers import derived_id

EVENTS: Final = 40
SUBJECTS: Final = 4
DIGEST: Final = "0" * 64

Message = tuple[bytes | None, dict[str, Any]]


@dataclass(slots=True)
class Outcome:
    """What a worker left for `EVENTS` events, the fourth of them poison."""

    scores: list[Message] = field(default_factory=list)
    dead_letters: list[Message] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)

    def faults(self) -> dict[str, int]:
        """What the books say of it."""
        account = Account(EVENTS, SUBJECTS, DIGEST, POISON)
        for message in self.scores:
            account.score(*message)
        for message in self.dead_letters:
            account.dead_letter(*message)
        account.check_log(self.entries)
        return dict(account.settled())


POISON: Final[dict[int, Kind]] = {3: "wrong_type"}


def faultless() -> Outcome:
    """Everything as it should be, with a repeat of a score and of an entry."""
    numbers = [n for n in range(EVENTS) if n not in POISON]
    scores = [score(n) for n in numbers]
    entries = [entry(n) for n in range(EVENTS)]
    letters = [dead_letter(n, kind) for n, kind in POISON.items()]
    return Outcome([*scores, scores[-1]], letters, [*entries, entries[-1]])


def score(number: int, event: str | None = None) -> Message:
    """A score; `event` is its own id."""
    whose = subject(number, SUBJECTS)
    own = event or derived_id(SOURCE, event_id(number), DIGEST)
    return whose.encode(), {
        "id": own, "subject": whose, "data": {"causationid": event_id(number)}
    }  # fmt: skip


def dead_letter(number: int, code: str) -> Message:
    """A dead letter."""
    data = {"causationid": event_id(number), "code": code}
    own = derived_id(SOURCE, event_id(number), DIGEST)
    return poison_key(number), {"id": own, "subject": subject(number, SUBJECTS), "data": data}


def entry(number: int) -> str:
    """The id of an inference log entry."""
    return derived_id(SOURCE, event_id(number), DIGEST)


def wrong() -> Iterator[tuple[str, Outcome]]:
    """Every fault, with the name under which it must be reported."""
    outcome = faultless()
    del outcome.scores[7]
    yield "lost", outcome
    outcome = faultless()
    outcome.dead_letters.clear()
    yield "lost", outcome
    outcome = faultless()
    outcome.scores.append(score(5, event="another id"))
    yield "twice, behind the helper that drops repeats", outcome
    outcome = faultless()
    one, other = 0, next(
        at for at in range(1, EVENTS) if outcome.scores[at][0] == outcome.scores[0][0]
    )  # fmt: skip
    outcome.scores[one], outcome.scores[other] = outcome.scores[other], outcome.scores[one]
    yield "out of order within its key", outcome
    outcome = faultless()
    outcome.dead_letters = [dead_letter(3, "null_value")]
    yield "dead letter with another code", outcome
    outcome = faultless()
    outcome.dead_letters = []
    outcome.scores.insert(3, score(3))
    yield "poison that was scored", outcome
    outcome = faultless()
    del outcome.scores[7]
    outcome.dead_letters.append(dead_letter(8, "wrong_type"))
    yield "good event in dead letters", outcome
    outcome = faultless()
    outcome.scores[7] = (b"s0x", outcome.scores[7][1])
    yield "score of another subject", outcome
    outcome = faultless()
    outcome.scores.append(score(EVENTS))
    yield "about an event that was never published", outcome
    outcome = faultless()
    del outcome.entries[4]
    yield "not in the inference log", outcome
    outcome = faultless()
    outcome.entries.append("0" * 32)
    yield "unknown in the inference log", outcome


def run(bench: Bench) -> Iterator[Bar]:  # noqa: ARG001
    """No broker and no worker: what the other sections look with."""
    found = faultless().faults()
    yield Bar("a faultless run", _said(found) or "nothing reported", "nothing", not found)
    for name, outcome in wrong():
        found = outcome.faults()
        yield Bar(f"made on purpose: {name}", _said(found), "reported", set(found) == {name})


def _said(found: dict[str, int]) -> str:
    names: Sequence[str] = sorted(found)
    return ", ".join(f"{name} {found[name]}" for name in names)
