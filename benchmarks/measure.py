"""Timing: contestants take turns in one process, and each figure is the median of its calls."""

import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

Call = Callable[[], object]


def measured(calls: Mapping[str, Call], seconds: float) -> dict[str, float]:
    """Median seconds per call of each, taking turns until each has had its time, or three calls."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    while any(_wants_more(times, seconds) for times in taken.values()):
        for name, call in calls.items():
            if _wants_more(taken[name], seconds):
                started = time.perf_counter()
                call()
                taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in taken.items()}


def _wants_more(times: Sequence[float], seconds: float) -> bool:
    return sum(times) < seconds or len(times) < 3


def versions(packages: Sequence[str]) -> str:
    """One line for people: interpreter, packages, machine."""
    named = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    python = f"Python {platform.python_version()}"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    return ", ".join([python, *named, machine])
