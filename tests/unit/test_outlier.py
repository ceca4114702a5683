"""The outlier threshold: as many of the reference above it as the stated share allows."""

import numpy as np
import pytest

from bundling.outlier import calibrated

SHARES = (0.001, 0.01, 0.015, 0.05, 0.29, 0.499)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("count", [1, 2, 7, 100, 1470])
def test_as_many_lie_above_as_the_share_allows(share: float, count: int) -> None:
    """Neither more nor, where no two scores are equal, fewer."""
    scores = np.random.default_rng(count).permutation(np.linspace(0.3, 0.8, count))
    flagged = int(np.sum(scores > calibrated(scores, share)))
    assert flagged == int(np.floor(round(share * count, 6)))


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("levels", [1, 2, 3, 10])
def test_equal_scores_are_flagged_together(share: float, levels: int) -> None:
    """At most the share lies above, and with the next group of equal scores it would be more."""
    scores = np.random.default_rng(levels).integers(0, levels, 1000).astype(np.float64)
    threshold = calibrated(scores, share)
    assert np.mean(scores > threshold) <= share
    assert np.mean(scores >= scores[scores <= threshold].max()) > share


def test_the_threshold_lies_between_two_scores() -> None:
    """A score that another processor rounds otherwise stays on its side."""
    scores = np.array([0.1, 0.2, 0.3, 0.4])
    assert calibrated(scores, 0.25) == pytest.approx(0.35)


def test_neighbours_without_a_number_between_them_are_told_apart() -> None:
    """The lower of the two is then the threshold."""
    upper = np.nextafter(0.5, 1.0)
    scores = np.array([0.1, 0.5, upper])
    assert int(np.sum(scores > calibrated(scores, 0.34))) == 1
