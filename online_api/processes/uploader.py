"""The uploader of the spool as a process of its own.

Making Parquet takes the interpreter for tens of milliseconds at a time; in the process that
answers, every request would wait for it. The process itself is `online_api/processes/uploading.py`.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from adapters.metric_families import process_died
from adapters.spool_segment import SUFFIX, claimed
from scoring.errors import ConfigurationError

if TYPE_CHECKING:
    from online_api.settings import OnlineSettings

MAX_BACKOFF_SECONDS: Final = 60.0
STEADY_SECONDS: Final = 60.0
"""One that lived for longer is restarted as if it were the first time."""

_MAX_DOUBLINGS: Final = 16
_KILLED_SECONDS: Final = 5.0
_ROOT: Final = Path(__file__).parents[2]

logger = logging.getLogger(__name__)


def restart_delay(failures: int) -> float:
    """Seconds until an uploader that died is started again: a second, doubling up to a minute."""
    delay: float = 2.0 ** min(failures - 1, _MAX_DOUBLINGS)
    return min(delay, MAX_BACKOFF_SECONDS)


class UploaderProcess:
    """Runs one uploader, and starts it again when it dies.

    When the process that made this is killed, the uploader uploads what it can for some seconds and
    ends.
    """

    def __init__(self, settings: "OnlineSettings", metrics_files: Path) -> None:
        """Start it; does not wait for it. Settings, secrets among them, go through its input."""
        told = {
            "spool_dir": str(settings.spool_dir),
            "storage_url": settings.storage_url,
            "connection_string": settings.connection_string(),
            "interval_seconds": settings.upload_interval_seconds,
            "metrics_files": str(metrics_files),
            "log_level": settings.log_level,
        }
        self._told = json.dumps(told).encode() + b"\n"
        self._spool = Path(settings.spool_dir)
        self._metrics_files = metrics_files
        self._answered = threading.Event()
        self._refusal: str | None = None
        self._lock = threading.Lock()  # over the two below
        self._stopping = False
        self._process: subprocess.Popen[bytes] | None = None
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name="uploader", daemon=True)
        self._thread.start()

    def check(self, timeout_seconds: float = 30.0) -> None:
        """Wait until the uploader has opened the storage. Raises ConfigurationError when it refuses
        its settings; that is also logged, and it is not started again.
        """
        self._answered.wait(timeout_seconds)
        if self._refusal is not None:
            raise ConfigurationError(self._refusal)

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    def stop(self, deadline_seconds: float) -> None:
        """Have it upload what there is, then end it; waits no longer than the deadline.

        What is left then stays on disk for the next start. Close the logs before. Stopping twice
        is safe.
        """
        with self._lock:
            self._stopping = True
            process = self._process
        self._wake.set()
        if process is not None:
            _tell(process, b"stop\n")
        self._thread.join(deadline_seconds)
        if self._thread.is_alive() and process is not None:
            process.kill()
            self._thread.join(_KILLED_SECONDS)
        if left := sum(map(_unwritten, self._spool.glob(f"*{SUFFIX}"))):
            logger.warning(
                "the spool was not emptied in time; the next start uploads the rest",
                extra={"event": "spool_left", "segments": left},
            )

    def _work(self) -> None:
        """The thread: one process after the other."""
        failures = 0
        while True:
            began = time.monotonic()
            reason = self._run()
            if self._stopping or self._refusal is not None:
                return
            failures = 1 if time.monotonic() - began > STEADY_SECONDS else failures + 1
            delay = restart_delay(failures)
            logger.error(
                "the uploader ended by itself and is started again: %s",
                reason,
                extra={"event": "uploader_ended", "restart_seconds": delay},
            )
            self._wake.wait(delay)

    def _run(self) -> str:
        """One process from start to end; why it ended."""
        try:
            with self._lock:
                if self._stopping:
                    return "told to"
                process = self._process = _started()
                _tell(process, self._told)
        except OSError as error:
            return f"it cannot be started: {error.strerror}"
        with process:
            self._listen(process)
            process.wait()
        try:
            process_died(self._metrics_files, process.pid)
        except OSError as error:
            logger.warning("what the uploader counted is lost: %s", error.strerror)
        return f"exit code {process.returncode}"

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """What it says; returns when it ends."""
        for line in process.stdout or ():
            try:
                refusal = str(msgspec.json.decode(line, type=str))
            except msgspec.DecodeError:  # something else wrote to its standard output
                continue
            if refusal and self._refusal is None:
                self._refusal = refusal
                logger.error(
                    "the inference log cannot be uploaded: %s",
                    refusal,
                    extra={"event": "spool_upload_failed"},
                )
            self._answered.set()


def _started() -> "subprocess.Popen[bytes]":
    """The process, in the same group as this one. Raises OSError."""
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with _signals_blocked():
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "online_api.processes.uploading"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )


def _unwritten(path: Path) -> bool:
    """Whether nobody writes a segment: another server may use the directory."""
    with claimed(path) as file:
        return file is not None


def _tell(process: "subprocess.Popen[bytes]", line: bytes) -> None:
    try:
        if process.stdin is not None:
            process.stdin.write(line)
            process.stdin.flush()
    except (OSError, ValueError):  # it has ended
        return


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """A process that is started in here has them blocked until it ignores them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
