"""The process that offers load: a plan on stdin, a report of each of its phases on stdout.

python -m benchmarks.online.generator
"""

import asyncio
import gc
import sys
import time
from array import array
from typing import Final

import msgspec
import uvloop

from benchmarks.online.connection import Answer, Connection
from benchmarks.online.plan import ANSWER_SECONDS, Phase, PhaseReport, Plan, identifier
from benchmarks.online.target import Target

TICK_SECONDS: Final = 0.001


class Tally:
    """What becomes of the requests of one phase."""

    def __init__(self) -> None:
        self.report = PhaseReport(refused={}, failed={})
        self._numbers = array("Q")
        self._sent_at = array("d")
        self._seconds = array("d")

    def accepted(self, number: int, sent_at: float, seconds: float) -> None:
        """Answered with 200."""
        self._numbers.append(number)
        self._sent_at.append(sent_at)
        self._seconds.append(seconds)

    def refused(self, answer: Answer, sent_at: float) -> None:
        """Answered with anything else."""
        report = self.report
        report.refused[answer.status] = report.refused.get(answer.status, 0) + 1
        report.without_retry_after += not answer.retry_after
        report.last_refused_at = max(report.last_refused_at or 0.0, sent_at)

    def failed(self, reason: str) -> None:
        """Not answered."""
        self.report.failed[reason] = self.report.failed.get(reason, 0) + 1

    def finished(self) -> PhaseReport:
        """The report, complete."""
        self.report.numbers = self._numbers.tobytes()
        self.report.sent_at = self._sent_at.tobytes()
        self.report.seconds = self._seconds.tobytes()
        return self.report


class Offering:
    """One plan under way."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._began = 0.0
        self._number = 0
        self._under_way = 0
        self._phase = 0
        self._chained = False
        self._tallies = [Tally() for _ in plan.phases]
        self._targets = [Target(port, plan, self._answered, self._lost) for port in plan.ports]
        self._turn = 0
        lines = [f"POST {plan.path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in plan.headers.items()]
        lines += [f"Content-Length: {len(plan.body)}", "X-Request-ID: "]
        self._head = "\r\n".join(lines).encode()
        self._rest = b"\r\n\r\n" + plan.body

    async def run(self) -> list[PhaseReport]:
        """Connect, offer phase after phase, and wait for the last answers."""
        await asyncio.gather(*(target.open() for target in self._targets))
        self._began = time.perf_counter()
        for index, phase in enumerate(self._plan.phases):
            report = self._tallies[index].report
            self._phase, report.began_at = index, self._now()
            await (self._chain(phase) if phase.rate is None else self._pace(phase, phase.rate))
            report.ended_at = self._now()
        deadline = self._now() + ANSWER_SECONDS
        while self._under_way and self._now() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for target in self._targets:
            target.close()
        await asyncio.sleep(0.01)  # what is still under way is reported as lost
        return [tally.finished() for tally in self._tallies]

    async def _pace(self, phase: Phase, rate: float) -> None:
        """Send what is due every tick. What finds no connection is not sent later."""
        began, due = self._now(), 0
        report = self._tallies[self._phase].report
        while (passed := self._now() - began) < phase.seconds:
            until = int(passed * rate)
            while due < until and self._send():
                due += 1
            report.unsent += until - due
            due = until
            await asyncio.sleep(TICK_SECONDS)

    async def _chain(self, phase: Phase) -> None:
        """Every answer brings the next request."""
        self._chained = True
        ends = self._now() + phase.seconds
        while self._now() < ends:
            while self._send():
                pass
            await asyncio.sleep(TICK_SECONDS)
        self._chained = False

    def _send(self) -> bool:
        """Send one on a free connection of the next ready target; False when there is none."""
        for _ in self._targets:
            self._turn = (self._turn + 1) % len(self._targets)
            connection = self._targets[self._turn].take()
            if connection is not None:
                self._send_on(connection)
                return True
        return False

    def _send_on(self, connection: Connection) -> None:
        name = identifier(self._plan.prefix, self._number).encode()
        connection.send(self._head + name + self._rest, self._number, self._phase, self._now())
        self._number += 1
        self._under_way += 1
        self._tallies[self._phase].report.sent += 1

    def _answered(self, connection: Connection, answer: Answer) -> None:
        self._under_way -= 1
        tally, sent_at = self._tallies[connection.phase], connection.sent_at
        if answer.status == 200:
            tally.accepted(connection.number, sent_at, self._now() - sent_at)
        else:
            tally.refused(answer, sent_at)
        if self._chained:
            self._send()

    def _lost(self, connection: Connection) -> None:
        if connection.busy:
            self._under_way -= 1
            self._tallies[connection.phase].failed("connection lost or no answer")

    def _now(self) -> float:
        return time.perf_counter() - self._began  # uvloop's own clock counts milliseconds


async def _run(plan: Plan) -> list[PhaseReport]:
    gc.collect()
    gc.freeze()
    gc.disable()
    return await Offering(plan).run()


if __name__ == "__main__":
    told = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Plan)
    sys.stdout.buffer.write(msgspec.msgpack.encode(uvloop.run(_run(told))))
