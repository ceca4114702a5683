"""Servers as processes of their own: started, asked whether they are ready, and ended by their pid.

Each is the leader of a session, so that what it starts in turn ends with it.
"""

import contextlib
import http.client
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 40.0
ANSWER_SECONDS: Final = 30.0


class BenchError(Exception):
    """Nothing can be measured; the words say what to do."""


def ask(
    port: int, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> tuple[int, bytes]:
    """Status and body of one request to 127.0.0.1: a POST when there is a body, else a GET.

    Raises OSError or HTTPException when there is no answer.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET" if body is None else "POST", path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()


class Server:
    """One running server on 127.0.0.1. As a context manager: ready inside, ended afterwards."""

    def __init__(
        self,
        command: Sequence[str],
        port: int,
        ready: str,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it; `ready` is the path that answers 200 once it serves, `log` takes what it says.

        Settings of ours in this process's environment do not reach it.
        """
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("TRILANE_")}
        self.port = port
        self._ready = ready
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as said:
            self._process = subprocess.Popen(
                command,
                env=inherited | dict(environment or {}),
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        try:
            self.wait_until_ready()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Raises BenchError when it ends, or is not ready in time."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise BenchError(f"a server ended before it was ready: {self._last_words()}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if ask(self.port, self._ready)[0] == 200:
                    return
            time.sleep(0.02)
        raise BenchError(f"not ready in {START_SECONDS:.0f} s: {self._last_words()}")

    def stop(self) -> int:
        """SIGTERM to the process that was started, as an orchestrator does; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(STOP_SECONDS)

    def kill(self, everything: bool = False) -> None:
        """SIGKILL to the process that was started, or to all it started as well."""
        if everything:
            self._kill_session()
        else:
            self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Ask it to stop, and kill what is left of its session."""
        if self._process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
        self._kill_session()
        self._process.wait()

    def _last_words(self) -> str:
        return " / ".join(self._log.read_text("utf-8", "replace").splitlines()[-3:])

    def _kill_session(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and all its descendants; pages they share count for each."""
    children = _children()
    waiting, total = [pid], 0
    while waiting:
        one = waiting.pop()
        waiting += children.get(one, [])
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{one}/statm").read_text(encoding="ascii").split()[1])
    return total * os.sysconf("SC_PAGE_SIZE")


def _children() -> dict[int, list[int]]:
    """Child pids by parent pid."""
    found: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            # The name of the command stands in brackets and may hold anything.
            fields = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            parent = int(fields.rpartition(")")[2].split()[1])
            found.setdefault(parent, []).append(int(entry.name))
    return found
