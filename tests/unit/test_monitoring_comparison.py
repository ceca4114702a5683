"""Every statistic against SciPy on the same data."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import stats

from monitoring import comparison

Array = NDArray[Any]

SAMPLES = arrays(
    np.float64,
    st.integers(2, 200),
    elements=st.floats(-1e6, 1e6, width=32) | st.integers(-5, 5).map(float),
)
CELLS = st.integers(2, 8).flatmap(
    lambda n: st.tuples(
        arrays(np.int64, n, elements=st.integers(0, 300)),
        arrays(np.int64, n, elements=st.integers(0, 300)),
    )
)
FAST = settings(deadline=None, max_examples=60)


def counted(sample: Array) -> tuple[Array, Array]:
    """Distinct values with their counts."""
    return np.unique(sample, return_counts=True)


@FAST
@given(SAMPLES, SAMPLES)
def test_ks_is_scipys(first: Array, second: Array) -> None:
    """Distance and p value equal those of ks_2samp with the asymptotic method."""
    expected = stats.ks_2samp(first, second, method="asymp")
    distance = comparison.ks_distance(*counted(first), *counted(second))
    assert distance == pytest.approx(expected.statistic, abs=1e-12)
    p_value = comparison.ks_p_value(distance, len(first), len(second))
    assert p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-12)


@FAST
@given(SAMPLES, SAMPLES)
def test_wasserstein_is_scipys(first: Array, second: Array) -> None:
    """The distance equals wasserstein_distance on the raw samples."""
    expected = stats.wasserstein_distance(first, second)
    found = comparison.wasserstein(*counted(first), *counted(second))
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@FAST
@given(CELLS)
def test_chi_square_is_scipys_where_nothing_is_pooled(cells: tuple[Array, Array]) -> None:
    """Tables with expected counts of at least 5 give chi2_contingency's numbers."""
    table = np.vstack(cells)
    assume(table.sum(axis=1).min() > 0)
    assume(table.sum(axis=0).min() > 0)
    expected = stats.chi2_contingency(table, correction=False)
    assume(expected.expected_freq.min() >= 5)
    assert comparison.chi_square(*cells) == pytest.approx(
        (expected.statistic, expected.dof, expected.pvalue), rel=1e-9, abs=1e-12
    )


@FAST
@given(CELLS)
def test_chi_square_never_looks_at_small_cells_alone(cells: tuple[Array, Array]) -> None:
    """Any table of two rows that are not empty gives a p value in [0, 1]."""
    assume(min(cells[0].sum(), cells[1].sum()) > 0)
    statistic, degrees, p_value = comparison.chi_square(*cells)
    assert np.isfinite(statistic)
    assert 0 <= degrees < len(cells[0])
    assert 0 <= p_value <= 1


def test_small_cells_are_pooled() -> None:
    """Cells with an expected count under 5 count as one."""
    found = comparison.chi_square(np.array([90, 3, 4, 3]), np.array([86, 5, 5, 4]))
    expected = stats.chi2_contingency([[90, 10], [86, 14]], correction=False)
    assert found == pytest.approx((expected.statistic, expected.dof, expected.pvalue))


def test_a_pool_that_is_still_small_joins_the_smallest_cell() -> None:
    """No cell with an expected count under 5 is left while there is another to join."""
    found = comparison.chi_square(np.array([60, 40, 1]), np.array([50, 50, 1]))
    expected = stats.chi2_contingency([[60, 41], [50, 51]], correction=False)
    assert found == pytest.approx((expected.statistic, expected.dof, expected.pvalue))


def test_one_cell_shows_no_difference() -> None:
    """A column of one category has p = 1."""
    assert comparison.chi_square(np.array([700, 0]), np.array([900, 0])) == (0.0, 0, 1.0)


@FAST
@given(st.integers(1, 500), st.integers(1, 500), st.data())
def test_the_z_test_is_the_chi_square_test_of_two_by_two(
    count: int, other: int, data: st.DataObject
) -> None:
    """The pooled two-proportion z test and the uncorrected chi-square test are one."""
    hits, other_hits = data.draw(st.integers(0, count)), data.draw(st.integers(0, other))
    assume(0 < hits + other_hits < count + other)
    table = [[hits, count - hits], [other_hits, other - other_hits]]
    expected = stats.chi2_contingency(table, correction=False).pvalue
    found = comparison.two_proportion_p_value(hits, count, other_hits, other)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("hits", [(0, 0), (600, 900)])
def test_equal_extreme_shares_are_no_evidence(hits: tuple[int, int]) -> None:
    """None missing on either side, or all, has p = 1 and not a division by zero."""
    assert comparison.two_proportion_p_value(hits[0], 600, hits[1], 900) == 1.0


def test_total_variation_is_the_share_that_moved() -> None:
    """Moving a tenth of the records from one category to another is 0.1."""
    assert comparison.total_variation(np.array([50, 50]), np.array([120, 80])) == pytest.approx(0.1)


def test_adjusted_p_values_follow_benjamini_and_hochberg() -> None:
    """The example of the 1995 paper: at 0.05 the four smallest of fifteen are rejected."""
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240,
                0.4262, 0.5719, 0.6528, 0.7590, 1.0]  # fmt: skip
    found = comparison.adjusted(p_values)
    assert sum(p <= 0.05 for p in found) == 4
    assert found[3] == pytest.approx(0.0095 * 15 / 4)
    assert comparison.adjusted([0.01]) == [0.01]
    assert comparison.adjusted([]) == []
