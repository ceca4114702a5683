"""Sufficient statistics of a column: small, exact where that is cheap, and mergeable.

A numeric column keeps every distinct value with its count while there are few of them; beyond
that, counts and sums in bins whose edges are quantiles of the reference, frozen with it, so that
any two profiles of the same column can be added and compared. A categorical column keeps the
counts of the reference's categories and one count for all others. Sums are exact, so a profile is
that of its values, in whatever order and groups they were counted.
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.exact_sums import exact_sums, rounded

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class NumericGrid:
    """What is frozen with the reference: its range and its inner quantiles (ascending, unique).

    Bin i holds the values v with edges[i - 1] < v <= edges[i]; the first and the last are open.
    """

    low: float
    high: float
    edges: Floats
    exact_values: int


@dataclass(frozen=True, eq=False)
class NumericProfile:
    """Counts of a numeric column.

    `points` holds the distinct finite values in ascending order and `counts` belong to them; with
    `points` None they belong to the grid's bins, and `totals` too: the sums of the bins as
    `exact_sums` gives them. `infinite` values are in neither. `out_of_range` counts values outside
    the reference's range, infinite ones included.
    """

    grid: NumericGrid
    points: Floats | None
    counts: Counts
    totals: tuple[int, ...]
    missing: int
    infinite: int
    out_of_range: int

    @cached_property
    def sums(self) -> Floats:
        """The sum of the values behind each of the counts; infinite where it overflows."""
        if self.points is None:
            return rounded(self.totals)
        with np.errstate(over="ignore"):
            return self.points * self.counts

    @property
    def finite(self) -> int:
        """Values that are numbers."""
        return int(self.counts.sum())

    @property
    def present(self) -> int:
        """Values that are not missing."""
        return self.finite + self.infinite


@dataclass(frozen=True, eq=False, slots=True)
class CategoryGrid:
    """The reference's categories, most frequent first; `complete` unless there are too many."""

    categories: tuple[str, ...]
    complete: bool


@dataclass(frozen=True, eq=False, slots=True)
class CategoryProfile:
    """Counts of a categorical column: one per category of the grid, and one for all `others`."""

    grid: CategoryGrid
    counts: Counts
    others: int
    missing: int

    @property
    def present(self) -> int:
        """Values that are not missing."""
        return int(self.counts.sum()) + self.others


Profile = NumericProfile | CategoryProfile


def numeric_grid(reference: NDArray[Any], exact_values: int, bins: int) -> NumericGrid:
    """Freeze a reference column of numbers, NaN where missing. Needs at least one finite value.

    Edges are values of the reference (the inverse of its distribution function).
    """
    finite = reference[np.isfinite(reference)].astype(np.float64)
    levels = np.arange(1, bins) / bins
    edges = np.unique(np.quantile(finite, levels, method="inverted_cdf"))
    return NumericGrid(float(finite.min()), float(finite.max()), edges, exact_values)


def profile_numbers(grid: NumericGrid, values: NDArray[Any]) -> NumericProfile:
    """Count float64 values of shape (records,); NaN is a missing value."""
    finite = values[np.isfinite(values)]
    missing = int(np.isnan(values).sum())
    infinite = len(values) - len(finite) - missing
    points, counts = np.unique(finite, return_counts=True)
    outside = counts[(points < grid.low) | (points > grid.high)].sum()
    points, counts = points.astype(np.float64), counts.astype(np.int64)
    outside_and_infinite = int(outside) + infinite
    exact = NumericProfile(grid, points, counts, (), missing, infinite, outside_and_infinite)
    return _bounded(exact)


def category_grid(values: Sequence[str], counts: Sequence[int], exact_values: int) -> CategoryGrid:
    """Freeze a reference column of categories, given its distinct values and their counts."""
    ordered = sorted(zip(values, counts, strict=True), key=lambda pair: (-pair[1], pair[0]))
    kept = tuple(value for value, _ in ordered[:exact_values])
    return CategoryGrid(kept, len(kept) == len(ordered))


def profile_categories(
    grid: CategoryGrid, values: Sequence[str], counts: Sequence[int], missing: int
) -> CategoryProfile:
    """Count categories, given the distinct values of a column and their counts."""
    positions = {category: i for i, category in enumerate(grid.categories)}
    kept = np.zeros(len(grid.categories), dtype=np.int64)
    others = 0
    for value, count in zip(values, counts, strict=True):
        position = positions.get(value)
        if position is None:
            others += count
        else:
            kept[position] += count
    return CategoryProfile(grid, kept, others, missing)


def merge(first: Profile, second: Profile) -> Profile:
    """The profile of both columns' records together. Both were counted on the same grid."""
    if isinstance(first, NumericProfile) and isinstance(second, NumericProfile):
        return _merge_numbers(first, second)
    if isinstance(first, CategoryProfile) and isinstance(second, CategoryProfile):
        return CategoryProfile(
            first.grid,
            first.counts + second.counts,
            first.others + second.others,
            first.missing + second.missing,
        )
    raise TypeError("a numeric and a categorical profile cannot be merged")


def binned(profile: NumericProfile) -> NumericProfile:
    """The same values, counted in the grid's bins."""
    if profile.points is None:
        return profile
    bins = len(profile.grid.edges) + 1
    at = np.searchsorted(profile.grid.edges, profile.points, side="left")
    counts = np.zeros(bins, dtype=np.int64)
    np.add.at(counts, at, profile.counts)
    totals = tuple(exact_sums(at, profile.points, profile.counts, bins))
    return replace(profile, points=None, counts=counts, totals=totals)


def _merge_numbers(first: NumericProfile, second: NumericProfile) -> NumericProfile:
    if first.points is None or second.points is None:
        a, b = binned(first), binned(second)
        points, counts = None, a.counts + b.counts
        totals = tuple(map(operator.add, a.totals, b.totals))
    else:
        both = np.concatenate([first.points, second.points])
        points, at = np.unique(both, return_inverse=True)
        counts = np.zeros(len(points), dtype=np.int64)
        np.add.at(counts, at, np.concatenate([first.counts, second.counts]))
        totals = ()
    merged = NumericProfile(
        first.grid,
        points,
        counts,
        totals,
        first.missing + second.missing,
        first.infinite + second.infinite,
        first.out_of_range + second.out_of_range,
    )
    return _bounded(merged)


def _bounded(profile: NumericProfile) -> NumericProfile:
    if profile.points is None or len(profile.points) <= profile.grid.exact_values:
        return profile
    return binned(profile)
