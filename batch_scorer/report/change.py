"""How the scores of a run differ from those of the run before, in figures and in a word."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from typing import Final, Literal

from batch_scorer.distribution import Distribution
from batch_scorer.run_manifest import RunManifest

Extent = Literal["steady", "some change", "large change", "too few records to say"]

SOME: Final = 0.1
LARGE: Final = 0.25
"""Limits of the population stability index (Siddiqi 2006)."""

_FLOOR: Final = 1e-4
_NOISE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Change:
    """From one run to the next; a figure is None where the runs have nothing to compare.

    `mean` is the difference of the means. `total_variation` is half the sum of the absolute
    differences of the shares of records per bin or value: the largest difference in share that any
    set of them can show (Levin, Peres and Wilmer, Markov Chains and Mixing Times, 4.2). `stability`
    is the population stability index: the sum of (q - p) ln(q / p) over the shares p before and q
    now (Siddiqi, Credit Risk Scorecards, 2006), shares below 0.0001 counting as that. `cells` are
    the bins or values with records in either run, `before` and `now` the numbers of records.
    """

    mean: float | None
    total_variation: float | None
    stability: float | None
    cells: int
    before: int
    now: int

    @property
    def extent(self) -> Extent | None:
        """The stability index in a word.

        Without any change it is about (cells - 1)(1/before + 1/now) (Yurdakul and Naranjo, Journal
        of Risk Model Validation 14(4), 2020): where that is near the limits nothing is said.
        """
        if self.stability is None:
            return None
        if (self.cells - 1) * (1 / self.before + 1 / self.now) > _NOISE:
            return "too few records to say"
        if self.stability < SOME:
            return "steady"
        return "some change" if self.stability < LARGE else "large change"

    @property
    def moved(self) -> bool:
        """Whether an operator should look."""
        return self.extent in ("some change", "large change")


def change(before: Distribution, now: Distribution, same_bins: bool = True) -> Change:
    """Between two runs; without the same bins, numbers are compared by their means only."""
    pairs = list(_pairs(before, now, same_bins)) if before.count and now.count else []
    mean = None
    if before.mean is not None and now.mean is not None:
        mean = now.mean - before.mean
    if not pairs:
        return Change(mean, None, None, 0, before.count, now.count)
    shares = [(a / before.count, b / now.count) for a, b in pairs]
    return Change(
        mean,
        sum(abs(q - p) for p, q in shares) / 2,
        sum(_divergence(max(p, _FLOOR), max(q, _FLOOR)) for p, q in shares),
        len(pairs),
        before.count,
        now.count,
    )


def changes(before: RunManifest, now: RunManifest) -> dict[str, Change]:
    """By output, of those that both runs have."""
    return {
        name: change(before.distribution[name], found, before.bins.get(name) == now.bins.get(name))
        for name, found in now.distribution.items()
        if name in before.distribution
    }


def _pairs(before: Distribution, now: Distribution, same_bins: bool) -> Iterator[tuple[int, int]]:
    """Records before and now, per bin or value that has any."""
    if before.values and now.values:
        for value in sorted(before.values.keys() | now.values.keys()):
            yield before.values.get(value, 0), now.values.get(value, 0)
    elif same_bins and len(before.counts) == len(now.counts):
        for a, b in zip(before.counts, now.counts, strict=True):
            if a or b:
                yield a, b


def _divergence(p: float, q: float) -> float:
    return (q - p) * log(q / p)
