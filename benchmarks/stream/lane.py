"""The stream worker as it is deployed, but for names: default settings, a log, a side port."""

import contextlib
import http.client
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.online.servers import BenchError, Server, ask
from benchmarks.stream.metrics import by_label, total
from local_stack.broker import free_port

MAX_RECORDS: Final = 500
"""Events per batch, of our worker and of whatever it is compared with."""
SESSION_SECONDS: Final = 2.0
"""After a SIGKILL the group waits for so long; less than in production, for the bench's sake."""


@dataclass(frozen=True, slots=True)
class Hubs:
    """The three hubs of a section."""

    events: str
    scores: str
    dead_letters: str

    @classmethod
    def named(cls, name: str) -> "Hubs":
        """Hubs of this name."""
        return cls(f"{name}-events", f"{name}-scores", f"{name}-dead")

    @property
    def all(self) -> tuple[str, str, str]:
        """Their names."""
        return self.events, self.scores, self.dead_letters


class Worker(Server):
    """A running worker."""

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> int:
        """Its exit code. Raises subprocess.TimeoutExpired."""
        return self._process.wait(seconds)

    def status(self, path: str) -> int:
        """Of a probe; 0 when nobody answers."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return ask(self.port, path)[0]
        return 0

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples with these labels; 0 where there is none or nobody answers."""
        return total(self._metrics(), name, labels)

    def metric_by(self, name: str, label: str) -> Mapping[str, float]:
        """Samples by the value of a label."""
        return by_label(self._metrics(), name, label)

    def peak_bytes(self) -> int:
        """The most memory it ever had resident."""
        lines = Path(f"/proc/{self.pid}/status").read_text("ascii").splitlines()
        line = next((line for line in lines if line.startswith("VmHWM:")), "VmHWM: 0 kB")
        return int(line.split()[1]) * 1024

    def last_words(self) -> str:
        """What it said last."""
        return self._last_words()

    def _metrics(self) -> str:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return ask(self.port, "/metrics")[1].decode()
        return ""


@dataclass(frozen=True, slots=True)
class Lane:
    """What outlives one process of the worker: its model, hubs, group and directories.

    `environment` says how the hubs and the storage are reached.
    """

    bundle: Path
    directory: Path
    hubs: Hubs
    environment: Mapping[str, str]
    group: str = "bench"
    settings: Mapping[str, str] = field(default_factory=dict)

    def start(self, name: str = "worker") -> Worker:
        """Another worker of the group; `name` is that of its log."""
        port = free_port()
        environment = {
            "TRILANE_BUNDLE": str(self.bundle.absolute()),
            "TRILANE_EVENTS_HUB": self.hubs.events,
            "TRILANE_SCORES_HUB": self.hubs.scores,
            "TRILANE_DEAD_LETTERS_HUB": self.hubs.dead_letters,
            "TRILANE_CONSUMER_GROUP": self.group,
            "TRILANE_SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
            "TRILANE_MAX_RECORDS": str(MAX_RECORDS),
            "TRILANE_PROBE_PORT": str(port),
            **self.environment,
            **self.settings,
        }
        command = [sys.executable, "-m", "stream_worker"]
        return Worker(command, port, "/readyz", self.directory / f"{name}.log", environment)


def require_stopped(worker: Worker) -> None:
    """Stop it. Raises BenchError unless it ends with 0."""
    code = worker.stop()
    if code:
        raise BenchError(f"a worker ended with {code}: {worker.last_words()}")
