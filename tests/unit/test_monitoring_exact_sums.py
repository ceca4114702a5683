"""Sums that do not depend on the order or the grouping of what is summed."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitoring.exact_sums import exact_sums, rounded
from monitoring.profile import NumericProfile, Profile, merge, numeric_grid, profile_numbers

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def sum_of(values: list[float]) -> float:
    """The exact sum of values of one bin, rounded."""
    points, counts = np.unique(np.array(values, dtype=np.float64), return_counts=True)
    bins = np.zeros(len(points), dtype=np.intp)
    (found,) = rounded(exact_sums(bins, points, counts.astype(np.int64), 1))
    return float(found)


def fsum(values: list[float]) -> float:
    """The same by the standard library, which fails on what overflows in between."""
    halves = [math.ldexp(value, -60) for value in values]
    try:
        return math.fsum(values)
    except OverflowError:
        return math.copysign(math.inf, math.fsum(halves))


@settings(deadline=None)
@given(st.lists(FINITE | st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1e308, 0.1]), max_size=40))
def test_a_sum_is_rounded_once(values: list[float]) -> None:
    """From the least float to the largest, whatever cancels."""
    if any(abs(v) > 1e300 for v in values) and abs(sum(v / 2**20 for v in values)) > 1e300:
        return  # the standard library cannot say
    assert sum_of(values) == fsum(values)


def test_a_sum_beyond_all_floats_is_infinite() -> None:
    """As it was with rounding."""
    assert sum_of([1.7e308, 1.6e308]) == math.inf
    assert sum_of([-1.7e308, -1.6e308]) == -math.inf
    assert sum_of([1.7e308, 1.6e308, -1.5e308, -1.65e308]) == pytest.approx(1.5e307)


def test_a_value_counts_as_often_as_it_is_there() -> None:
    """In its own bin, beside values of other signs and exponents."""
    bins = np.array([0, 0, 2, 2, 2], dtype=np.intp)
    values = np.array([-3.0, 0.1, 0.1, 0.75, 1024.0])
    counts = np.array([2, 10, 3_000_000, 1, 5], dtype=np.int64)
    found = rounded(exact_sums(bins, values, counts, 4))
    tenth = 3_000_000 * int(math.ldexp(0.1, 56))
    assert found.tolist() == [
        math.fsum([-6.0, *[0.1] * 10]),
        0.0,
        tenth / 2**56 + 0.75 + 5120,
        0.0,
    ]


def profiled(parts: list[NDArray[Any]]) -> Profile:
    """The parts, profiled one by one and merged in their order."""
    grid = numeric_grid(np.random.default_rng(0).normal(size=3000), 2048, 64)
    first, *rest = (profile_numbers(grid, part) for part in parts)
    merged: Profile = first
    for part in rest:
        merged = merge(merged, part)
    return merged


@pytest.mark.parametrize("size", [7, 1000, 3000, 4096])
def test_a_profile_is_that_of_its_values(size: int) -> None:
    """Equal to the bit, whether the values were counted in one go or in parts, in any order."""
    values = np.random.default_rng(1).normal(size=9000) * 1e3
    whole = profiled([values])
    assert isinstance(whole, NumericProfile)
    assert whole.points is None
    for seed in range(3):
        mixed = np.random.default_rng(seed).permutation(values)
        parts = profiled([mixed[i : i + size] for i in range(0, len(mixed), size)])
        assert isinstance(parts, NumericProfile)
        assert parts.sums.tolist() == whole.sums.tolist()
        assert parts.counts.tolist() == whole.counts.tolist()
