"""Profiles are exact while that is cheap, close beyond, and add up."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import stats

from monitoring import comparison
from monitoring.profile import (
    NumericProfile,
    binned,
    category_grid,
    merge,
    numeric_grid,
    profile_categories,
    profile_numbers,
)

Array = NDArray[Any]

COLUMNS = arrays(
    np.float64,
    st.integers(0, 60),
    elements=st.integers(-20, 20).map(float) | st.sampled_from([np.nan, np.inf, -np.inf, 0.5]),
)
REFERENCE = np.random.default_rng(0).normal(size=3000)


def numbers(values: Array, exact_values: int = 2048, bins: int = 1024) -> NumericProfile:
    """A profile on the grid of `REFERENCE`."""
    return profile_numbers(numeric_grid(REFERENCE, exact_values, bins), values)


def same(first: NumericProfile, second: NumericProfile) -> None:
    """Both profiles hold the same counts."""
    assert (first.points is None) == (second.points is None)
    if first.points is not None and second.points is not None:
        np.testing.assert_array_equal(first.points, second.points)
    np.testing.assert_array_equal(first.counts, second.counts)
    np.testing.assert_allclose(first.sums, second.sums, atol=1e-9)
    for name in ("missing", "infinite", "out_of_range"):
        assert getattr(first, name) == getattr(second, name)


def test_few_values_are_counted_exactly() -> None:
    """Distinct values with their counts; NaN is missing; what lies outside is counted."""
    grid = numeric_grid(np.array([1.0, 2.0, 3.0]), 2048, 1024)
    profile = profile_numbers(grid, np.array([2.0, 1.0, 2.0, np.nan, 9.0, -np.inf]))
    assert profile.points is not None
    assert profile.points.tolist() == [1.0, 2.0, 9.0]
    assert profile.counts.tolist() == [1, 2, 1]
    assert profile.sums.tolist() == [1.0, 4.0, 9.0]
    assert (profile.missing, profile.infinite, profile.out_of_range) == (1, 1, 2)
    assert (profile.finite, profile.present) == (4, 5)


@settings(deadline=None)
@given(COLUMNS, COLUMNS, st.integers(2, 40))
def test_profiles_add_up(first: Array, second: Array, exact_values: int) -> None:
    """Counting two parts and merging is counting the whole, exact or in bins."""
    grid = numeric_grid(np.arange(-10.0, 11.0), exact_values, 8)
    merged = merge(profile_numbers(grid, first), profile_numbers(grid, second))
    assert isinstance(merged, NumericProfile)
    same(merged, profile_numbers(grid, np.concatenate([first, second])))


def test_many_values_go_into_the_references_bins() -> None:
    """Beyond the limit of distinct values a profile has one count and sum per bin."""
    values = np.random.default_rng(1).normal(size=5000)
    profile = numbers(values)
    assert profile.points is None
    assert len(profile.counts) == len(profile.sums) <= 1024
    assert profile.finite == 5000
    assert profile.sums.sum() == pytest.approx(values.sum())


def test_a_value_on_an_edge_belongs_to_the_bin_that_ends_there() -> None:
    """Bins are open on the left and closed on the right."""
    grid = numeric_grid(np.array([1.0, 2.0, 3.0, 4.0]), 4, 4)
    assert grid.edges.tolist() == [1.0, 2.0, 3.0]
    found = binned(profile_numbers(grid, np.array([0.0, 1.0, 1.5, 2.0, 9.0])))
    assert found.counts.tolist() == [2, 2, 0, 1]
    assert found.sums.tolist() == [1.0, 3.5, 0.0, 9.0]


@pytest.mark.parametrize("shift", [0.0, 0.1, 3.0])
def test_bins_come_close_to_the_raw_data(shift: float) -> None:
    """With 1,024 bins KS is within 0.001 and W1 within 0.001 standard deviations."""
    values = np.random.default_rng(2).normal(shift, 1.2, size=4000)
    now, before = numbers(values), numbers(REFERENCE)
    at = np.arange(len(now.counts))
    distance = comparison.ks_distance(at, before.counts, at, now.counts)
    assert distance == pytest.approx(stats.ks_2samp(REFERENCE, values).statistic, abs=1e-3)
    filled = [profile.counts > 0 for profile in (before, now)]
    area = comparison.wasserstein(
        before.sums[filled[0]] / before.counts[filled[0]], before.counts[filled[0]],
        now.sums[filled[1]] / now.counts[filled[1]], now.counts[filled[1]],
    )  # fmt: skip
    assert area == pytest.approx(stats.wasserstein_distance(REFERENCE, values), abs=1e-3)


def test_categories_are_counted_on_the_references_list() -> None:
    """The reference's categories have their own count, all others one together."""
    grid = category_grid(["b", "a"], [3, 5], 2048)
    assert (grid.categories, grid.complete) == (("a", "b"), True)
    first = profile_categories(grid, ["a", "x"], [4, 2], 1)
    second = profile_categories(grid, ["b", "y", "x"], [1, 1, 1], 0)
    merged = merge(first, second)
    assert merged.counts.tolist() == [4, 1]
    assert (merged.present, merged.missing) == (9, 1)


def test_too_many_categories_keep_the_most_frequent() -> None:
    """A grid that had to leave categories out says so."""
    grid = category_grid(["a", "b", "c"], [1, 3, 2], 2)
    assert (grid.categories, grid.complete) == (("b", "c"), False)


def test_unlike_profiles_do_not_merge() -> None:
    """Numbers and categories are never one column."""
    grid = category_grid(["a"], [1], 8)
    with pytest.raises(TypeError):
        merge(numbers(np.array([1.0])), profile_categories(grid, ["a"], [1], 0))
