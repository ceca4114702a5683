"""Trying again what the storage may do later."""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from adapters.storage.errors import StorageRefused
from scoring.errors import StorageUnavailable

_FIRST_SECONDS: Final = 0.1
_LONGEST_SECONDS: Final = 10.0
_WARN_SECONDS: Final = 1.0

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Retries:
    """How long one call is tried again.

    Pauses double from 0.1 to 10 seconds; each is shortened by up to half at random, so that
    processes that failed together do not return together. `clock` and `sleep` count seconds,
    `chance` is uniform over [0, 1).
    """

    seconds: float = 0.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def call(self, attempt: Callable[[], T]) -> T:
        """What `attempt` returns. Raises its last StorageUnavailable when the time is over, at
        once one that waiting does not cure, and every other error.
        """
        deadline, longest = self.clock() + self.seconds, _FIRST_SECONDS
        while True:
            try:
                return attempt()
            except StorageUnavailable as error:
                pause = longest * (1 - self.chance() / 2)
                if isinstance(error, StorageRefused) or self.clock() + pause > deadline:
                    raise
                if pause >= _WARN_SECONDS:
                    extra = {"error": str(error), "seconds": round(pause, 1)}
                    logger.warning("storage did not answer; trying again", extra=extra)
            self.sleep(pause)
            longest = min(2 * longest, _LONGEST_SECONDS)
