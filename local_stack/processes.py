"""Child processes of the local stack: started with settings, watched, stopped by pid."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Self

from scoring.errors import TerminalError

_STOP_SECONDS = 20.0


class Process:
    """One child with its log file. The child is in a session of its own, so that a Ctrl-C at the
    terminal reaches only the parent, which then stops the child in order.
    """

    def __init__(self, name: str, log: Path, child: "subprocess.Popen[bytes]") -> None:
        self.name = name
        self.log = log
        self._child = child

    @property
    def running(self) -> bool:
        """Whether the child is alive."""
        return self._child.poll() is None

    def stop(self) -> int:
        """SIGTERM, wait for the drain, SIGKILL at the deadline; returns the exit code."""
        if self.running:
            self._child.terminate()
        try:
            return self._child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.send_signal(signal.SIGKILL)
            return self._child.wait()

    def last_line(self) -> str:
        """The end of its log, for an error message."""
        lines = self.log.read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it logged nothing"


class LocalProcesses:
    """Starts children and stops them all, the last one first, when the context ends."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Make the directory of the logs."""
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop every child."""
        self._stack.close()

    def start(self, name: str, module: str, settings: Mapping[str, str]) -> Process:
        """Start `python -m module` with TRILANE_ settings and nothing else of that prefix."""
        log = self._logs / f"{name}.log"
        with log.open("ab") as file:
            child = _popen(module, (), settings, file)
        process = Process(name, log, child)
        self._stack.callback(process.stop)
        return process

    def run(
        self,
        name: str,
        module: str,
        settings: Mapping[str, str],
        arguments: Sequence[str] = (),
        heartbeat: Callable[[], None] = lambda: None,
    ) -> None:
        """Run `python -m module` to its end, calling `heartbeat` about five times a second.

        Raises TerminalError with the last line of its log when it does not exit 0.
        """
        log = self._logs / f"{name}.log"
        with log.open("ab") as file:
            child = _popen(module, arguments, settings, file)
        process = Process(name, log, child)
        try:
            while process.running:
                heartbeat()
                time.sleep(0.2)
        finally:
            code = process.stop()
        if code != 0:
            raise TerminalError(f"{name} ended with exit code {code}: {process.last_line()}")


def wait_until_ready(
    process: Process, url: str, seconds: float, heartbeat: Callable[[], None] = lambda: None
) -> None:
    """Wait for a 200 from a readiness URL. Raises TerminalError when the child ends or is late."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not process.running:
            raise TerminalError(f"{process.name} ended: {process.last_line()}")
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 (http on loopback)
                if answer.status == 200:
                    return
        except OSError:
            heartbeat()
            time.sleep(0.05)
    raise TerminalError(f"{process.name} is not ready after {seconds:.0f} s; see {process.log}")


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM ends the body like Ctrl-C does, so that the children are stopped either way."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _popen(
    module: str, arguments: Sequence[str], settings: Mapping[str, str], log: IO[bytes]
) -> "subprocess.Popen[bytes]":
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("TRILANE_")}
    environment = inherited | {f"TRILANE_{name.upper()}": v for name, v in settings.items()}
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
