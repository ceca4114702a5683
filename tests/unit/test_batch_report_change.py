"""How much the scores of one run differ from those of the run before."""

from math import log

import pytest

from batch_scorer.distribution import Distribution
from batch_scorer.report.change import change, changes
from batch_scorer.report.quantiles import quantile
from tests.support.run_manifests import UNIT_BINS, distribution, run_manifest


def binned(counts: list[int], total: float = 0.0) -> Distribution:
    """Numbers between 0 and 1 in these bins."""
    return Distribution(sum(counts), total, 0.0, 1.0, counts)


def test_figures_by_hand() -> None:
    """Means, half the differences of the shares, and the stability index, of bins with records."""
    found = change(binned([0, 50, 50, 0], 40.0), binned([0, 120, 80, 0], 90.0))
    assert found.mean == pytest.approx(0.45 - 0.4)
    assert found.total_variation == pytest.approx(0.1)
    assert found.stability == pytest.approx(0.1 * log(0.6 / 0.5) - 0.1 * log(0.4 / 0.5))
    assert (found.cells, found.before, found.now) == (2, 100, 200)


def test_an_empty_bin_counts_as_a_ten_thousandth() -> None:
    """A share of nothing has no logarithm."""
    found = change(binned([0, 100, 0]), binned([0, 0, 100]))
    assert found.total_variation == 1.0
    assert found.stability == pytest.approx(2 * (1 - 1e-4) * log(1e4))


def test_values_are_compared_by_value() -> None:
    """Also those that only one of the runs has."""
    found = change(
        Distribution(10, values={"a": 5, "b": 5}), Distribution(10, values={"b": 5, "c": 5})
    )
    assert (found.mean, found.total_variation, found.cells) == (None, 0.5, 3)


@pytest.mark.parametrize(
    ("now", "same_bins"),
    [(binned([0, 10, 0]), False), (binned([10, 0]), True), (Distribution(5, 1.0, 0.0, 1.0), True)],
)
def test_other_bins_are_not_compared(now: Distribution, same_bins: bool) -> None:
    """The means still are."""
    found = change(binned([0, 10, 0], 5.0), now, same_bins)
    assert (found.total_variation, found.stability, found.extent) == (None, None, None)
    assert found.mean is not None
    assert not found.moved


def test_nothing_is_compared_with_no_records() -> None:
    """Neither before nor now."""
    for before, now in ((Distribution(), binned([3])), (binned([3]), Distribution())):
        found = change(before, now)
        assert (found.mean, found.total_variation, found.stability) == (None, None, None)


@pytest.mark.parametrize(
    ("share", "records", "extent"),
    [
        (0.51, 100_000, "steady"),
        (0.64, 100_000, "steady"),
        (0.67, 100_000, "some change"),
        (0.73, 100_000, "some change"),
        (0.75, 100_000, "large change"),
        (0.75, 30, "too few records to say"),
    ],
)
def test_the_extent_in_a_word(share: float, records: int, extent: str) -> None:
    """By the limits of the index, if there are records enough to tell it from chance."""
    before = binned([0, records // 2, records // 2, 0])
    moved = round(share * records)
    found = change(before, binned([0, moved, records - moved, 0]))
    assert found.extent == extent
    assert found.moved == (extent in ("some change", "large change"))


def test_outputs_that_both_runs_have_are_compared() -> None:
    """Bins of the same edges only: another model may have others."""
    before = run_manifest(distribution=distribution(0, 2000), bins={"score": UNIT_BINS})
    outputs = {**distribution(1, 2000), "new": binned([1])}
    bins = {"score": UNIT_BINS, "outlier_score": [0.0, 0.5, 1.0]}
    found = changes(before, run_manifest(distribution=outputs, bins=bins))
    assert list(found) == ["score", "label", "outlier", "outlier_score"]
    assert found["score"].extent == "steady"
    assert found["outlier_score"].stability is None


def test_quantiles_are_near_the_true_ones() -> None:
    """Within a bin's width, inside the range that was seen."""
    uniform = Distribution(100, 50.0, 0.02, 0.98, [0, 25, 25, 25, 25, 0])
    edges = [0.0, 0.25, 0.5, 0.75, 1.0]
    assert quantile(uniform, edges, 0.5) == pytest.approx(0.5)
    assert quantile(uniform, edges, 0.1) == pytest.approx(0.02 + 0.23 * 0.4)
    assert quantile(uniform, edges, 1.0) == 0.98
    outside = Distribution(4, 0.0, -8.0, 9.0, [2, 0, 0, 2])
    assert quantile(outside, [0.0, 1.0, 2.0], 0.25) == -4.0
    assert quantile(outside, [0.0, 1.0, 2.0], 0.75) == 5.5
    assert quantile(Distribution(4, 0.0, -8.0, 9.0), [], 0.5) is None
    assert quantile(Distribution(counts=[0, 0]), [1.0], 0.5) is None
