"""The publisher as the bench sees it: a process of its own (`publisher.py`), like any producer."""

import subprocess
import sys
from tempfile import TemporaryFile
from types import TracebackType
from typing import Literal, Self

import msgspec

from benchmarks.online.servers import BenchError
from benchmarks.stream.events import EventPlan


class PublishPlan(msgspec.Struct, frozen=True):
    """What to publish where, at a rate in events per second or as fast as it can.

    `address` is the bootstrap address, or the connection string of the namespace (secret: it goes
    through a pipe).
    """

    transport: Literal["kafka", "amqp"]
    address: str
    hub: str
    partitions: int
    events: EventPlan
    rate: float | None = None
    first: int = 0
    end: int | None = None

    @property
    def numbers(self) -> range:
        """Which of the events: all, or those from `first` on and before `end`."""
        return range(self.first, self.events.count if self.end is None else self.end)


class PublishReport(msgspec.Struct, frozen=True):
    """What it did."""

    published: int
    seconds: float


class Publisher:
    """The process. As a context manager: killed if still running."""

    def __init__(self, plan: PublishPlan) -> None:
        command = [sys.executable, "-m", "benchmarks.stream.publisher"]
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
        """Whether it still publishes."""
        return self._process.poll() is None

    def report(self, seconds: float) -> PublishReport:
        """Waits until everything is published. Raises BenchError when it is not in time."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise BenchError(f"not everything was published in {seconds:.0f} s") from None
        if code:
            raise BenchError("the publisher failed; what it said stands above")
        self._said.seek(0)
        return msgspec.json.decode(self._said.read(), type=PublishReport)


def publish(plan: PublishPlan, seconds: float) -> PublishReport:
    """Publish everything, in so many seconds at most."""
    with Publisher(plan) as publisher:
        return publisher.report(seconds)
