"""What every section is given, and a command that is timed as its caller would time it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.online.servers import BenchError

CPUS: Final = len(os.sched_getaffinity(0))
LONGEST_SECONDS: Final = 3_600


@dataclass(frozen=True, slots=True)
class Bench:
    """One run. `data` keeps workforces between runs; what is None has its usual size."""

    bundle: Path
    scratch: Path
    data: Path
    seed: int
    rows: int
    few_rows: int
    kills: int

    def directory(self, name: str) -> Path:
        """A directory of a section, made."""
        path = self.scratch / name
        path.mkdir(parents=True, exist_ok=True)
        return path


@dataclass(frozen=True, slots=True)
class Timed:
    """A command that ended: wall-clock seconds, CPU seconds, and its peak of resident memory in
    bytes, as the kernel counts it (`ru_maxrss`) over the process and what it started.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int

    def speed(self, rows: int) -> float:
        """Rows per second, starting included."""
        return rows / self.seconds


_STARTER: Final = """
import json, os, subprocess, sys, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(process.pid, 0)
spent = time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
with open(sys.argv[1], "w") as file:
    json.dump([os.waitstatus_to_exitcode(status), *spent], file)
"""
"""In a process that is small: on Linux a process begins with the peak of its parent."""


def timed(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Timed:
    """Run a command to its end. Raises BenchError when it fails."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TRILANE_", "JOB_"))}
    figures = log.with_name(f"{log.name}.json")
    starter = [sys.executable, "-I", "-S", "-c", _STARTER, str(figures), *command]
    with log.open("ab") as output:
        given = {**clean, **(environment or {})}
        subprocess.run(starter, stdout=output, stderr=output, env=given, check=True)
    code, *spent = json.loads(figures.read_bytes())
    if code:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise BenchError(f"{command[0]} {command[2]} ended with {code}:\n{last}")
    return Timed(*spent)


def batch_command(bundle: Path, source: Path, root: Path, *flags: str) -> list[str]:
    """`trilane batch` over a workforce."""
    return [
        sys.executable, "-m", "batch_scorer", f"--bundle={bundle}", f"--input={source}",
        f"--output={root}/out", f"--storage-url={root}/store", "--run-id=r",
        "--record-id-column=EmployeeNumber", *flags,
    ]  # fmt: skip
