"""Timing: contestants take turns in one process, and each figure is the median of its calls."""

import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

Call = Callable[[], object]

TURN_SECONDS: Final = 0.01


def measured(calls: Mapping[str, Call], seconds: float) -> dict[str, float]:
    """Median seconds per call of each, in turns until each has had its time, and three calls.

    A turn is one call, or as many as fit into `TURN_SECONDS`: a short call is timed among its like
    and not with the caches that another contestant left behind.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    while any(_wants_more(times, seconds) for times in taken.values()):
        for name, call in calls.items():
            if _wants_more(taken[name], seconds):
                taken[name] += _turn(call)
    return {name: statistics.median(times) for name, times in taken.items()}


def _turn(call: Call) -> list[float]:
    times: list[float] = []
    while sum(times) < TURN_SECONDS:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return times


def _wants_more(times: Sequence[float], seconds: float) -> bool:
    return sum(times) < seconds or len(times) < 3


def versions(packages: Sequence[str]) -> str:
    """One line for people: interpreter, packages, machine."""
    named = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    python = f"Python {platform.python_version()}"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    return ", ".join([python, *named, machine])
