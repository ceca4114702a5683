"""How a command of this lane ended."""

from dataclasses import dataclass

from scoring.errors import TerminalError


class RunFailed(TerminalError):
    """A run wrote what it could, and something is missing or wrong; the text says what."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What people are told, and why the run failed if it did."""

    text: str
    failure: str | None = None
