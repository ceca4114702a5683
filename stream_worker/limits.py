"""When a worker has to stop because what it rejects says more about it than about the data."""

from collections import Counter, deque
from collections.abc import Mapping
from itertools import repeat
from typing import Final

from scoring.errors import TooManyRejections
from scoring.records import RejectionCode

WINDOW: Final = 1_000
"""The share is that of the last so many events."""
LEAST: Final = 100
"""Of fewer events the share says nothing."""


class RejectionLimit:
    """A limit on the share of rejections and on rejections in a row.

    Events are looked at in the order in which they are worked on, before anything of them is
    published: what breaks the limit reaches no dead letter.
    """

    def __init__(self, share: float, run: int) -> None:
        """A share of 1 and a run of 0 are no limits."""
        self._share = share
        self._longest = run
        self._run = 0
        self._recent: deque[RejectionCode | None] = deque(maxlen=WINDOW)

    def look(self, rejections: Mapping[int, RejectionCode], count: int) -> None:
        """Take note of `count` events, of which those at some positions were rejected. Raises
        TooManyRejections.
        """
        if not rejections:
            self._recent.extend(repeat(None, count))
            self._run = 0
            return
        for code in map(rejections.get, range(count)):
            self._recent.append(code)
            self._run = 0 if code is None else self._run + 1
            if self._longest and self._run > self._longest:
                raise self._stopped(
                    f"{self._run} events in a row were rejected", "--max-rejected-run"
                )
        seen = len(self._recent)
        rejected = seen - self._recent.count(None)
        if seen >= LEAST and self._share < 1 and rejected > self._share * seen:
            raise self._stopped(
                f"{rejected} of the last {seen} events were rejected", "--max-rejected-share"
            )

    def _stopped(self, what: str, setting: str) -> TooManyRejections:
        codes = Counter(code for code in self._recent if code is not None).most_common(3)
        reasons = ", ".join(f"{code} {count}" for code, count in codes)
        return TooManyRejections(
            f"{what} ({reasons}), more than {setting} allows: is this the model for this hub?"
            " The batch in hand was neither published nor committed"
        )
