"""What every section is given, and a command that is timed as its caller would time it."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.online.servers import BenchError
from tests.support.measured import Measured, measured

CPUS: Final = len(os.sched_getaffinity(0))


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


def timed(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Measured:
    """Run a command to its end. Raises BenchError when it fails."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TRILANE_", "JOB_"))}
    found = measured(command, log, {**clean, **(environment or {})})
    if found.code:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise BenchError(f"{command[0]} {command[2]} ended with {found.code}:\n{last}")
    return found


def batch_command(bundle: Path, source: Path, root: Path, *flags: str) -> list[str]:
    """`trilane batch` over a workforce."""
    return [
        sys.executable, "-m", "batch_scorer", f"--bundle={bundle}", f"--input={source}",
        f"--output={root}/out", f"--storage-url={root}/store", "--run-id=r",
        "--record-id-column=EmployeeNumber", *flags,
    ]  # fmt: skip
