"""What a connection does again and again, until it is gone."""

import asyncio
from collections.abc import Callable


class Timers:
    """Calls at intervals, in the event loop that runs when this is made."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._next: list[asyncio.TimerHandle] = []

    def every(self, seconds: float, act: Callable[[], None]) -> None:
        """Call `act` every so many seconds."""
        place = len(self._next)

        def turn() -> None:
            self._next[place] = self._loop.call_later(seconds, turn)
            act()

        self._next.append(self._loop.call_later(seconds, turn))

    def cancel(self) -> None:
        """No more calls."""
        for timer in self._next:
            timer.cancel()
