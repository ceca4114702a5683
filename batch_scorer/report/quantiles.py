"""Quantiles of what was counted in bins."""

from collections.abc import Sequence

from batch_scorer.distribution import Distribution


def quantile(distribution: Distribution, edges: Sequence[float], share: float) -> float | None:
    """About the number below which that share of the records lies, or None without bins.

    Numbers are taken to be spread evenly in their bin (grouped data), and never outside of the
    range that was seen.
    """
    low, high = distribution.minimum, distribution.maximum
    if not distribution.counts or low is None or high is None:
        return None
    borders = [low, *(min(max(edge, low), high) for edge in edges), high]
    wanted = share * distribution.count
    for position, count in enumerate(distribution.counts):
        if count and wanted <= count:
            left, right = borders[position], borders[position + 1]
            return left + (right - left) * (wanted / count)
        wanted -= count
    return high
