"""One worker that is always there: what ends is started again at once, as an orchestrator does."""

import threading
import time
from collections import Counter
from types import TracebackType
from typing import Final, Self

from benchmarks.online.servers import BenchError
from benchmarks.stream.lane import Lane, Worker

READY_SECONDS: Final = 90.0
MOST_EXITS: Final = 20
"""A worker that ends by itself more often than that will not do it better the next time."""
_LOOK_SECONDS: Final = 0.05
_AGAIN_SECONDS: Final = 0.5


class Supervisor:
    """As a context manager: a worker runs inside, and none afterwards."""

    def __init__(self, lane: Lane) -> None:
        self.exits: Counter[int] = Counter()
        """Ends that were not `kill`, by exit code."""
        self._lane = lane
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._worker: Worker = lane.start()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._worker.end()

    @property
    def worker(self) -> Worker:
        """That of now."""
        with self._lock:
            return self._worker

    def wait_until_ready(self) -> None:
        """Raises BenchError when no worker gets ready in time, or too many end by themselves."""
        deadline = time.monotonic() + READY_SECONDS
        while self.worker.status("/readyz") != 200:
            if time.monotonic() > deadline or self.exits.total() > MOST_EXITS:
                raise BenchError(f"no worker got ready: {self.worker.last_words()}")
            time.sleep(_LOOK_SECONDS)

    def kill(self) -> bool:
        """SIGKILL to the worker, which is started again; whether it had events in hand."""
        worker = self.worker
        busy = worker.metric("trilane_in_flight_records") > 0
        with self._lock:
            self._worker.kill()
            self._worker = self._lane.start()
        return busy

    def stop(self) -> int:
        """SIGTERM, and no other is started; the exit code of the last."""
        self._stopping.set()
        self._thread.join()
        return self._worker.stop()

    def _watch(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            with self._lock:
                code = self._worker.exit_code
                if code is None:
                    continue
                self.exits[code] += 1
                self._stopping.wait(_AGAIN_SECONDS)
                self._worker = self._lane.start()
