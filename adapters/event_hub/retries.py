"""How long, and how often, a step is tried again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retries:
    """A step that fails for now is tried again for `seconds`; the waits in between begin with
    `first_seconds`, are doubled each time, and are never more than `longest_seconds`.
    """

    seconds: float
    first_seconds: float = 0.5
    longest_seconds: float = 8.0

    def delay(self, attempt: int) -> float:
        """Seconds to wait after the attempt of that number (from 1) failed."""
        doublings = min(attempt - 1, 30)
        return float(min(self.first_seconds * 2.0**doublings, self.longest_seconds))
