"""Closed-loop load with wrk: a number of connections, each sending as soon as it is answered."""

import json
import shutil
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.online.figures import median_ratio
from benchmarks.online.servers import BenchError, ask

WARM_UP_SECONDS: Final = 1.0
TIMEOUT_SECONDS: Final = 30

# A long bracket around the body, because a JSON array begins with one.
_SCRIPT: Final = """wrk.method = "POST"
wrk.body = [==[{body}]==]
{headers}
done = function(summary, latency, requests)
  local failed = summary.errors
  local line = '{{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, '
  io.write(string.format(
    '\\n' .. line .. '"refused": %d, "broken": %d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    failed.status, failed.connect + failed.read + failed.write + failed.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk saw: answers below 400 per second, and the times of all answers."""

    requests_per_second: float
    p50_seconds: float
    p99_seconds: float
    refused: int
    broken: int


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server to load: where, with what, and what to wait for after its turn."""

    name: str
    port: int
    path: str
    body: bytes
    headers: Mapping[str, str]
    settle: Callable[[], object] = lambda: None


def require_wrk() -> str:
    """Its version. Raises BenchError when it is not installed."""
    if shutil.which("wrk") is None:
        raise BenchError("wrk is not installed; on Debian: apt-get install wrk")
    # It has no flag that only prints the version: without a URL it prints that and its usage.
    said = subprocess.run(["wrk", "-v"], check=False, capture_output=True, text=True)
    return " ".join((said.stdout + said.stderr).split()[:2])


def first_answer(contestant: Contestant) -> Any:
    """The answer to one request, decoded. Raises BenchError unless it is 200."""
    status, body = ask(contestant.port, contestant.path, contestant.headers, contestant.body)
    if status != 200:
        raise BenchError(f"{contestant.name} answers {status}: {body.decode()}")
    return json.loads(body)


def run_wrk(contestant: Contestant, connections: int, seconds: float, scratch: Path) -> Load:
    """Load a server from one thread; wrk takes whole seconds. Blocks for that long."""
    headers = "\n".join(
        f'wrk.headers["{name}"] = "{value}"' for name, value in contestant.headers.items()
    )
    script = scratch / "request.lua"
    script.write_text(
        _SCRIPT.format(body=contestant.body.decode(), headers=headers), encoding="utf-8"
    )
    command = [
        *("wrk", "--threads", "1", "--connections", str(connections)),
        *("--duration", f"{max(1, round(seconds))}s", "--timeout", f"{TIMEOUT_SECONDS}s"),
        *("--script", str(script), f"http://127.0.0.1:{contestant.port}{contestant.path}"),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"wrk failed on {contestant.name}: {done.stderr.strip()}")
    return read_output(done.stdout)


def read_output(text: str) -> Load:
    """What the script's last line says."""
    said: dict[str, int] = json.loads(text.strip().splitlines()[-1])
    accepted = said["requests"] - said["refused"]
    return Load(
        accepted / (said["microseconds"] / 1e6),
        said["p50"] / 1e6,
        said["p99"] / 1e6,
        said["refused"],
        said["broken"],
    )


class Rounds:
    """Contestants took turns: one figure of each per round, so that ratios are of neighbours."""

    def __init__(self, loads: Mapping[str, Sequence[Load]]) -> None:
        self._loads = loads

    def speed(self, name: str) -> float:
        """Median requests per second."""
        return statistics.median(self._speeds(name))

    def p99(self, name: str) -> float:
        """Median p99 in seconds."""
        return statistics.median(self._tails(name))

    def faster(self, name: str, other: str) -> float:
        """Requests per second as a multiple of the other's, median of the rounds."""
        return median_ratio(self._speeds(name), self._speeds(other))

    def slower_tail(self, name: str, other: str) -> float:
        """p99 as a multiple of the other's, median of the rounds."""
        return median_ratio(self._tails(name), self._tails(other))

    def _speeds(self, name: str) -> list[float]:
        return [load.requests_per_second for load in self._loads[name]]

    def _tails(self, name: str) -> list[float]:
        return [load.p99_seconds for load in self._loads[name]]


def in_turns(
    contestants: Sequence[Contestant], connections: int, seconds: float, rounds: int, scratch: Path
) -> Rounds:
    """Load one after the other, several times. Raises BenchError when one refuses a request: its
    speed would be that of its refusals.
    """
    loads: dict[str, list[Load]] = {contestant.name: [] for contestant in contestants}
    for contestant in contestants:
        first_answer(contestant)
        run_wrk(contestant, connections, min(seconds, WARM_UP_SECONDS), scratch)
        contestant.settle()
    for _ in range(rounds):
        for contestant in contestants:
            load = run_wrk(contestant, connections, seconds, scratch)
            if load.refused or load.broken:
                raise BenchError(
                    f"{contestant.name} refused {load.refused} requests, {load.broken} broke"
                )
            loads[contestant.name].append(load)
            contestant.settle()
    return Rounds(loads)
