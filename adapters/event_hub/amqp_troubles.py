"""What the SDK gets over by itself, and what it does not."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from adapters.event_hub.amqp_errors import condition, in_a_line, is_token_refused
from scoring.errors import ConfigurationError, InputError, TrilaneError

PATIENCE_SECONDS: Final = 60.0
_TRIES: Final = 3
_HOPELESS: Final = frozenset(
    ("unauthorized-access", "not-found", "argument-error", "argument-out-of-range")
)
_UNREADABLE: Final = (TypeError, ValueError, LookupError, struct.error)


@dataclass(slots=True)
class _Trouble:
    since: float
    unreadable: int = 0


class Troubles:
    """Partitions that could not be read, one after the other without an event in between.

    The SDK claims such a partition again in its next round. It would do so for ever where that is
    no use: when the hub refuses the sign-in or where to begin, or holds an event that the SDK
    cannot decode.
    """

    def __init__(self, hub: str, clock: Callable[[], float]) -> None:
        self._hub = hub
        self._clock = clock
        self._troubles: dict[str, _Trouble] = {}

    def over(self, partition_id: str) -> None:
        """An event came."""
        self._troubles.pop(partition_id, None)

    def failed(self, partition_id: str, error: Exception) -> TrilaneError | None:
        """Take note; returns what to give up with, if there is no use in going on."""
        cause = error.__context__
        unreadable = isinstance(cause, _UNREADABLE)
        refused = is_token_refused(error) or condition(error) in _HOPELESS
        if not (unreadable or refused):
            self.over(partition_id)
            return None
        trouble = self._troubles.setdefault(partition_id, _Trouble(self._clock()))
        where = f"partition {partition_id} of {self._hub}"
        if unreadable:
            trouble.unreadable += 1
            if trouble.unreadable >= _TRIES:
                return InputError(
                    f"{where} holds an event that this client cannot decode: {type(cause).__name__}"
                )
        elif self._clock() - trouble.since >= PATIENCE_SECONDS:
            return ConfigurationError(f"{where} cannot be read: {in_a_line(error)}")
        return None
