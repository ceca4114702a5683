"""What every section is given: the bundle, a directory, a kind of broker, and how much of it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SUBJECTS: Final = 2_000
PARTITIONS: Final = 4


@dataclass(frozen=True, slots=True)
class Bench:
    """One run. What is None has the usual size of the section."""

    bundle: Path
    scratch: Path
    broker: str
    seed: int
    events: int | None = None
    kills: int | None = None
    seconds: float | None = None
    rounds: int | None = None

    def event_count(self, usual: int) -> int:
        """Events of a section."""
        return usual if self.events is None else self.events

    def kill_count(self, usual: int) -> int:
        """Kills, or comings and goings, of a section."""
        return usual if self.kills is None else self.kills

    def duration(self, usual: float) -> float:
        """Seconds of a section."""
        return usual if self.seconds is None else self.seconds

    def directory(self, name: str) -> Path:
        """A directory of a section, made."""
        path = self.scratch / name
        path.mkdir(parents=True, exist_ok=True)
        return path


def hush() -> None:
    """The clients say for every try that a broker is away; here it is away on purpose."""
    for name in ("aiokafka", "azure"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def storage_gone(storage: Path) -> Iterator[None]:
    """A file where the directory was: nothing can be written below it, by root either."""
    away = storage.with_name(f"{storage.name}-away")
    storage.mkdir(parents=True, exist_ok=True)
    storage.rename(away)
    storage.touch()
    try:
        yield
    finally:
        storage.unlink()
        away.rename(storage)
