"""Statistics of what was measured: percentiles, ratios of rounds, and when things are normal."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WINDOW_SECONDS: Final = 0.5
"""Recovery is looked for in windows of this length."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One answered request: when it was sent and how long it took, in seconds."""

    sent_at: float
    seconds: float


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that is not below `share` of them (nearest rank); `values` not empty."""
    ordered = sorted(values)
    rank = max(1, math.ceil(share * len(ordered)))
    return ordered[rank - 1]


def median_ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """The median of value / other, round by round: what disturbs one round disturbs both."""
    return statistics.median(a / b for a, b in zip(values, others, strict=True))


def seconds_to_recover(
    samples: Sequence[Sample],
    ended_at: float,
    last_refused_at: float | None,
    bound_seconds: float,
) -> float | None:
    """From the end of an overload to the first window in which all is normal: p99 within the
    bound, nothing refused from there on. None when there is no such window.

    A window starts every fifth of its length, and needs a sample.
    """
    last = max((sample.sent_at for sample in samples), default=ended_at)
    step = WINDOW_SECONDS / 5
    for index in range(int(max(0.0, last - ended_at) / step) + 1):
        start = ended_at + index * step
        if last_refused_at is not None and last_refused_at >= start:
            continue
        window = [s.seconds for s in samples if start <= s.sent_at < start + WINDOW_SECONDS]
        if window and percentile(window, 0.99) <= bound_seconds:
            return start - ended_at
    return None
