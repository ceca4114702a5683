"""What a command took, without what the process that asks had taken before."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_STARTER = """
import json, os, subprocess, sys, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(process.pid, 0)
spent = time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
with open(sys.argv[1], "w") as file:
    json.dump([os.waitstatus_to_exitcode(status), *spent], file)
"""
"""In a process that is small: on Linux a process begins with the peak of its parent."""


class Measured(NamedTuple):
    """Exit code, wall-clock and CPU seconds, and the peak of resident memory in bytes."""

    code: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int

    def speed(self, rows: int) -> float:
        """Rows per second, starting included."""
        return rows / self.seconds


def measured(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Measured:
    """Run a command to its end; what it says is appended to `log`, the figures are beside that."""
    figures = log.with_name(f"{log.name}.json")
    starter = [sys.executable, "-I", "-S", "-c", _STARTER, os.fspath(figures), *command]
    with log.open("ab") as output:
        subprocess.run(starter, stdout=output, stderr=output, env=environment, check=True)
    return Measured(*json.loads(figures.read_bytes()))
