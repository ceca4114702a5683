"""Several processes that answer on one socket, and the supervisor that starts and stops them.

The supervisor binds the socket and answers nothing itself; each worker accepts from the same queue,
so a worker that dies takes only the connections it has accepted. Uvicorn's own supervisor is not
used: it restarts a worker that cannot start without pause, and it ends its workers with a signal of
its own, which would skip the drain.

Supervisor and worker talk through one pipe per worker. Up: the worker is ready, or the error that
keeps it from starting. Down: stop, and whether to hurry. A worker whose pipe ends has lost its
supervisor: it drains and ends.
"""

import logging
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Final

from adapters.metric_families import process_died
from online_api.settings import OnlineSettings
from scoring.errors import TerminalError

MAX_BACKOFF_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 60.0
"""A worker that lived for longer is restarted as if it were the first time."""

_FIRST_BACKOFF_SECONDS: Final = 0.5
_MAX_DOUBLINGS: Final = 16
_PATIENCE_SECONDS: Final = 10.0
"""How much longer than drain and grace a worker may take to end before it is killed."""

logger = logging.getLogger(__name__)

OnReady = Callable[[dict[str, Any]], None]


def restart_delay(failures: int) -> float:
    """Seconds until a worker that died is started again: the first time at once, then doubling."""
    if failures <= 1:
        return 0.0
    delay: float = _FIRST_BACKOFF_SECONDS * 2 ** min(failures - 2, _MAX_DOUBLINGS)
    return min(delay, MAX_BACKOFF_SECONDS)


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    started: float
    ready: bool = False


@dataclass
class _Place:
    """Where a worker is, or is due again after `failures` deaths in a row."""

    number: int
    worker: _Worker | None = None
    failures: int = 0
    due: float = 0.0


class Supervisor:
    """Runs as many workers as the settings say."""

    def __init__(
        self,
        settings: OnlineSettings,
        listener: socket.socket,
        metrics_files: Path,
        on_ready: OnReady,
    ) -> None:
        """`on_ready` is called once, when every worker is ready, with what one says of its model.

        The settings must be picklable. Takes the listener.
        """
        self._settings = settings
        self._listener = listener
        self._metrics_files = metrics_files
        self._on_ready: OnReady | None = on_ready
        self._spawn = get_context("spawn")
        self._places = [_Place(number) for number in range(1, settings.workers + 1)]
        self._failure: TerminalError | None = None
        self._kill_at: float | None = None
        self._lost = 0

    def run(self) -> None:
        """Until SIGTERM or SIGINT, and every worker has ended.

        Raises the TerminalError that kept a worker from starting, and one if a worker that was told
        to stop ended in another way.
        """
        try:
            with _signals() as signals:
                while self._kill_at is None or self._workers():
                    self._start_due()
                    self._attend(signals)
        finally:
            for worker in self._workers():
                worker.process.kill()
            self._listener.close()
        if self._failure is not None:
            raise self._failure
        if self._lost:
            raise TerminalError(f"{self._lost} workers were lost while they were stopping")

    def _workers(self) -> list[_Worker]:
        return [place.worker for place in self._places if place.worker is not None]

    def _start_due(self) -> None:
        now = time.monotonic()
        for place in self._places:
            if self._kill_at is None and place.worker is None and place.due <= now:
                place.worker = self._start(place)

    def _start(self, place: _Place) -> _Worker:
        ours, theirs = self._spawn.Pipe()
        process = self._spawn.Process(
            target=run_worker,
            args=(self._settings, self._listener, self._metrics_files, theirs),
            name=f"worker-{place.number}",
            daemon=True,
        )
        process.start()
        theirs.close()  # so that its end is seen when the worker ends
        return _Worker(process, ours, time.monotonic())

    def _attend(self, signals: socket.socket) -> None:
        """Wait for whatever comes next and deal with it."""
        workers = self._workers()
        sources: list[Any] = [signals, *(w.process.sentinel for w in workers)]
        sources += [w.pipe for w in workers if not w.pipe.closed]
        happened = wait(sources, self._wait_seconds())
        if signals in happened:
            for number in signals.recv(64):
                self._stop(hurry=number == signal.SIGINT or self._kill_at is not None)
        for place in self._places:
            if place.worker is not None and place.worker.pipe in happened:
                self._listen(place.worker)
            if place.worker is not None and place.worker.process.sentinel in happened:
                self._ended(place, place.worker)
        if self._kill_at is not None and time.monotonic() > self._kill_at:
            for worker in self._workers():
                worker.process.kill()

    def _wait_seconds(self) -> float | None:
        if self._kill_at is not None:
            return max(0.0, self._kill_at - time.monotonic()) + 0.1
        dues = [place.due for place in self._places if place.worker is None]
        return max(0.0, min(dues) - time.monotonic()) if dues else None

    def _listen(self, worker: _Worker) -> None:
        """What a worker says: what its model is when it is ready, an error when it cannot start."""
        try:
            said = worker.pipe.recv()
        except (EOFError, OSError):
            worker.pipe.close()
            return
        if isinstance(said, TerminalError):
            self._failure = self._failure or said
            self._stop(hurry=False)
            return
        worker.ready = True
        logger.info("a worker is ready", extra={"event": "worker_ready", "pid": worker.process.pid})
        workers = self._workers()
        if self._on_ready is None:
            return
        if len(workers) == len(self._places) and all(w.ready for w in workers):
            on_ready, self._on_ready = self._on_ready, None
            on_ready(said)

    def _ended(self, place: _Place, worker: _Worker) -> None:
        """Bury a worker, and say when its place is filled again."""
        worker.process.join()
        worker.pipe.close()
        place.worker = None
        pid, code = worker.process.pid, worker.process.exitcode
        if pid is not None:
            process_died(self._metrics_files, pid)
        if self._kill_at is not None:
            self._lost += worker.ready and code != 0
            return
        if time.monotonic() - worker.started > STEADY_SECONDS:
            place.failures = 0
        place.failures += 1
        delay = restart_delay(place.failures)
        place.due = time.monotonic() + delay
        logger.error(
            "a worker ended by itself and is started again",
            extra={
                "event": "worker_ended",
                "pid": pid,
                "exit_code": code,
                "restart_seconds": delay,
            },
        )

    def _stop(self, hurry: bool) -> None:
        """Tell every worker, those that are still starting too."""
        if self._kill_at is None:
            seconds = self._settings.drain_seconds + self._settings.grace_seconds
            self._kill_at = time.monotonic() + seconds + _PATIENCE_SECONDS
            # Workers stop listening one by one; the port is free with the last of them.
            self._listener.close()
        for worker in self._workers():
            try:
                worker.pipe.send(hurry)
            except OSError:  # it is ending already
                continue


def run_worker(
    settings: OnlineSettings, listener: socket.socket, metrics_files: Path, pipe: Connection
) -> None:
    """The worker's side: a whole process. Exits 0 after a drain, 1 when it cannot start."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit_now)
    from adapters.logs import setup_logging

    setup_logging(settings.log_level)
    try:
        _answer(settings, listener, metrics_files, pipe)
    except TerminalError as error:
        _say(pipe, error)
        raise SystemExit(1) from None


def _answer(
    settings: OnlineSettings, listener: socket.socket, metrics_files: Path, pipe: Connection
) -> None:
    from online_api.assembly import open_app
    from online_api.processes.worker import answer, identity, leave_if_busy

    app = open_app(settings, metrics_files)
    try:
        answer(app, settings, listener, lambda: _say(pipe, identity(app)), pipe)
    finally:
        app.close()
    leave_if_busy(0)


def _say(pipe: Connection, what: Any) -> None:
    try:
        pipe.send(what)
    except OSError:  # the supervisor died; the pipe's end says so too
        return


def _exit_now(_: int, __: object) -> None:
    """A signal while the model is being loaded: nothing has to be drained."""
    raise SystemExit(0)


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket on which every SIGTERM and SIGINT arrives as a byte; they do nothing else."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    numbers: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: None) for number in numbers]
    signal.set_wakeup_fd(writer.fileno())
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        reader.close()
        writer.close()
