"""Load that does not wait for answers: what a generator is told, and what it reports.

The generator (`generator.py`) is a process of its own. A request is numbered from 0 over the whole
plan, and its `X-Request-ID` is the prefix and the number. Times are seconds since the plan began.
"""

import subprocess
import sys
from array import array
from collections.abc import Sequence
from tempfile import TemporaryFile
from types import TracebackType
from typing import Final, Self

import msgspec

from benchmarks.online.figures import Sample
from benchmarks.online.report import counted
from benchmarks.online.servers import BenchError

ANSWER_SECONDS: Final = 15.0
"""How long the generator waits for answers after its last phase; then they count as failed."""


class Phase(msgspec.Struct, frozen=True):
    """A rate in requests per second, offered whatever the answers; None: every connection sends
    as soon as it is answered.
    """

    seconds: float
    rate: float | None = None


class Plan(msgspec.Struct, frozen=True):
    """Phase after phase, over so many connections to each port of 127.0.0.1.

    With several ports requests go in turn to those whose `/readyz` answered 200 when it was last
    asked, every `poll_seconds`.
    """

    ports: list[int]
    path: str
    headers: dict[str, str]
    body: bytes
    phases: list[Phase]
    connections: int
    prefix: str
    poll_seconds: float = 0.25


class PhaseReport(msgspec.Struct):
    """What became of the requests that were sent in a phase.

    `accepted` are answers with 200: three arrays of their numbers, when they were sent, and how
    long they took. `unsent` were due and found every connection waiting or no server ready.
    """

    began_at: float = 0.0
    ended_at: float = 0.0
    sent: int = 0
    unsent: int = 0
    numbers: bytes = b""
    sent_at: bytes = b""
    seconds: bytes = b""
    refused: dict[int, int] = {}
    without_retry_after: int = 0
    last_refused_at: float | None = None
    failed: dict[str, int] = {}

    @property
    def accepted(self) -> list[int]:
        """The numbers of the requests that were answered with 200."""
        return array("Q", self.numbers).tolist()

    @property
    def samples(self) -> list[Sample]:
        """When they were sent, and how long they took."""
        return list(map(Sample, array("d", self.sent_at), array("d", self.seconds)))

    @property
    def times(self) -> list[float]:
        """How long they took."""
        return array("d", self.seconds).tolist()

    @property
    def shed(self) -> int:
        """Requests that were refused for lack of capacity."""
        return sum(self.refused.get(status, 0) for status in (429, 503))

    @property
    def not_accepted(self) -> dict[str, int]:
        """What became of all others, by status or reason."""
        unsent = {"not sent": self.unsent} if self.unsent else {}
        return {str(status): n for status, n in self.refused.items()} | self.failed | unsent


class Generator:
    """The process, from the first request on. As a context manager: killed if still running."""

    def __init__(self, plan: Plan) -> None:
        command = [sys.executable, "-m", "benchmarks.online.generator"]
        # A file takes the whole report at once; of an unbuffered write to a pipe some may be left.
        self._said = TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=self._said)
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.write(msgspec.msgpack.encode(plan))
        self._process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._said.close()

    @property
    def running(self) -> bool:
        """Whether the plan is still being carried out."""
        return self._process.poll() is None

    def reports(self) -> Sequence[PhaseReport]:
        """One per phase; blocks until the plan is done and its requests are answered.

        Raises BenchError when there was a phase without any accepted request.
        """
        if self._process.wait():
            raise BenchError("the load generator failed; what it said stands above")
        self._said.seek(0)
        said = self._said.read()
        return with_answers(msgspec.msgpack.decode(said, type=list[PhaseReport]))


def with_answers(reports: Sequence[PhaseReport]) -> Sequence[PhaseReport]:
    """The reports. Raises BenchError when in one no request was accepted: that none failed, or
    that nothing is missing, would then say nothing.
    """
    for report in reports:
        if not report.numbers:
            raise BenchError(f"no request of a phase was accepted: {counted(report.not_accepted)}")
    return reports


def offer(plan: Plan) -> Sequence[PhaseReport]:
    """Carry out a plan."""
    with Generator(plan) as generator:
        return generator.reports()


def identifier(prefix: str, number: int) -> str:
    """The `X-Request-ID` of a request."""
    return f"{prefix}{number:010d}"
