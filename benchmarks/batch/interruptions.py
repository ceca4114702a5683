"""A run of 200 files, killed at random moments, and over a storage that keeps failing."""

import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Final

from benchmarks.batch.bench import Bench
from benchmarks.batch.workforce import write_files
from benchmarks.online.report import Bar
from benchmarks.online.servers import BenchError
from benchmarks.sections import say
from tests.support.batch_runs import BatchRun, adds_up, without_times

FILES: Final = 200
ROWS: Final = 2_500
FLAGS: Final = (
    "--record-id-column=EmployeeNumber",
    "--chunk-records=300",
    "--as-of=2026-01-05T08:30:00Z",
)
EVERY: Final = 10


def run(bench: Bench) -> Iterator[Bar]:
    """Kills first, then failing storage; each run is compared with an undisturbed one."""
    root = bench.directory("interruptions")
    source, moments = root / "in", random.Random(bench.seed)  # noqa: S311
    write_files(source, FILES, ROWS)
    whole = BatchRun(bench.bundle, source, root / "whole", FLAGS)
    began = time.monotonic()
    _require(whole, whole.complete())
    took = time.monotonic() - began
    same = kills = 0
    for _ in range(4 * bench.kills):  # some are complete before they would be killed
        if kills >= bench.kills:
            break
        run = BatchRun(bench.bundle, source, root / "killed", FLAGS)
        # Every other run is killed once more, while it goes on where it was.
        wanted = min(1 + kills % 2, bench.kills - kills)
        done = sum(_killed(run, moments.uniform(0.2, 1.0) * took) for _each in range(wanted))
        _require(run, run.complete())
        kills += done
        same += done if _is_same(run, whole) else 0
        shutil.rmtree(run.root)
        say(f"kill {kills} of {bench.kills}")
    what = f"SIGKILL at random moments of {FILES} files: runs like the undisturbed one"
    yield Bar(what, f"after {same} of {kills} kills", "all", same == kills)
    say(f"storage that fails every {EVERY}th call")
    failing = BatchRun(
        bench.bundle,
        source,
        root / "failing",
        (*FLAGS, "--retry-seconds=30"),
        "tests.support.faulty_batch",
        {"TRILANE_TEST_FAULTY_EVERY": str(EVERY)},
    )
    _require(failing, failing.complete())
    equal = _is_same(failing, whole)
    yield Bar(
        f"storage failing every {EVERY}th call", "the same" if equal else "other", "the same", equal
    )


def _killed(run: BatchRun, seconds: float) -> bool:
    """Start it and kill it after so long; False when it was complete by then."""
    process = run.start()
    try:
        _ = process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


def _require(run: BatchRun, code: int) -> None:
    if code:
        raise BenchError(f"a run ended with {code}:\n{run.said()[-2000:]}")


def _is_same(run: BatchRun, whole: BatchRun) -> bool:
    adds_up(run.manifest(), FILES * ROWS)
    same_counts = without_times(run.manifest()) == without_times(whole.manifest())
    return same_counts and run.parts() == whole.parts()
