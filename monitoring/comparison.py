"""The statistics behind the verdicts, computed from counts. Pure NumPy and SciPy distributions.

Sources: Kolmogorov-Smirnov and its two-sample p value as in `scipy.stats.ks_2samp(method="asymp")`
(Hodges 1958); first Wasserstein distance as the area between two distribution functions (Vallender
1974); chi-square test of homogeneity with Cochran's rule of expected counts of at least 5 (Cochran
1954); pooled two-proportion z test; Benjamini and Hochberg's step-up procedure (1995).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[Any]

_LEAST_EXPECTED = 5.0


def ks_distance(points: Array, counts: Array, other_points: Array, other_counts: Array) -> float:
    """The largest distance between two distribution functions, in [0, 1].

    `points` are distinct and ascending, `counts` of the same shape and not all zero.
    """
    at = np.union1d(points, other_points)
    gaps = _cumulative(points, counts, at) - _cumulative(other_points, other_counts, at)
    return float(np.abs(gaps).max())


def ks_p_value(distance: float, count: int, other_count: int) -> float:
    """Two-sided p value of a two-sample Kolmogorov-Smirnov distance. Conservative with ties."""
    effective = count * other_count / (count + other_count)
    return float(np.clip(stats.kstwo.sf(distance, max(1, round(effective))), 0.0, 1.0))


def wasserstein(points: Array, counts: Array, other_points: Array, other_counts: Array) -> float:
    """The first Wasserstein distance, in the unit of the points; infinite when it overflows.

    `points` are ascending, `counts` of the same shape and not all zero.
    """
    at = np.union1d(points, other_points)
    gaps = _cumulative(points, counts, at) - _cumulative(other_points, other_counts, at)
    with np.errstate(over="ignore"):
        return float(np.sum(np.abs(gaps[:-1]) * np.diff(at)))


def chi_square(counts: Array, other_counts: Array) -> tuple[float, int, float]:
    """Homogeneity of two rows of counts over the same cells: (statistic, degrees, p value).

    Cells with an expected count under 5 in either row are pooled into one; if that is still under
    5 it joins the smallest of the others. One cell left means no difference can show: p = 1.
    """
    table = _pooled(np.vstack([counts, other_counts]).astype(np.float64))
    degrees = table.shape[1] - 1
    if degrees < 1:
        return 0.0, 0, 1.0
    expected = _expected(table)
    statistic = float(((table - expected) ** 2 / expected).sum())
    return statistic, degrees, float(stats.chi2.sf(statistic, degrees))


def total_variation(counts: Array, other_counts: Array) -> float:
    """Half the sum of the absolute differences of shares: the share that would have to move."""
    gaps = counts / counts.sum() - other_counts / other_counts.sum()
    return float(np.abs(gaps).sum() / 2)


def two_proportion_p_value(hits: int, count: int, other_hits: int, other_count: int) -> float:
    """Two-sided p value of the pooled z test that two shares are equal."""
    pooled = (hits + other_hits) / (count + other_count)
    variance = pooled * (1 - pooled) * (1 / count + 1 / other_count)
    if variance <= 0:
        return 1.0
    z = (hits / count - other_hits / other_count) / np.sqrt(variance)
    return float(2 * stats.norm.sf(abs(z)))


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Benjamini-Hochberg adjusted p values: rejecting those <= q holds the discovery rate at q."""
    if not p_values:
        return []
    return [float(p) for p in stats.false_discovery_control(p_values, method="bh")]


def _cumulative(points: Array, counts: Array, at: Array) -> Array:
    """The distribution function's values at ascending places."""
    steps = np.concatenate([[0], np.cumsum(counts)])
    return np.asarray(steps[np.searchsorted(points, at, side="right")] / steps[-1])


def _expected(table: Array) -> Array:
    return np.asarray(
        table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    )


def _pooled(table: Array) -> Array:
    table = table[:, table.sum(axis=0) > 0]
    small = _expected(table).min(axis=0) < _LEAST_EXPECTED
    if not small.any():
        return table
    large, pool = table[:, ~small], table[:, small].sum(axis=1, keepdims=True)
    both = np.hstack([large, pool])
    if large.shape[1] and _expected(both)[:, -1].min() < _LEAST_EXPECTED:
        smallest = int(large.sum(axis=0).argmin())
        large = large.copy()
        large[:, smallest] += pool[:, 0]
        return np.asarray(large)
    return np.asarray(both)
