"""How well predicted probabilities match observed frequencies."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin of predicted probability that holds at least one record."""

    lower: float
    upper: float
    count: int
    predicted: float  # mean predicted probability
    observed: float  # share of positives


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibration of a binary classifier; both figures are 0 at best and 1 at worst."""

    brier_score: float
    expected_calibration_error: float
    bins: tuple[Bin, ...]

    def as_table(self) -> list[dict[str, Any]]:
        """The bins as plain JSON-ready rows."""
        return [asdict(b) for b in self.bins]


def measure(positive: NDArray[np.bool_], probability: NDArray[np.float64]) -> Calibration:
    """Calibration of `probability` of being positive against what was observed, both shape (n,).

    Brier score: mean squared difference (Brier 1950). Expected calibration error: mean over
    records of |observed - predicted| of the record's bin, ten bins of equal width, each without
    its upper bound except the last (Naeini, Cooper and Hauskrecht 2015). n must be at least 1.
    """
    edges = np.linspace(0.0, 1.0, BINS + 1)
    position = np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, BINS - 1)
    bins = tuple(
        Bin(
            lower=float(edges[i]),
            upper=float(edges[i + 1]),
            count=int(inside.sum()),
            predicted=float(probability[inside].mean()),
            observed=float(positive[inside].mean()),
        )
        for i in range(BINS)
        if (inside := position == i).any()
    )
    gaps = sum(b.count * abs(b.observed - b.predicted) for b in bins)
    return Calibration(
        brier_score=float(np.mean((probability - positive) ** 2)),
        expected_calibration_error=gaps / len(probability),
        bins=bins,
    )


def reliability_plot(calibration: Calibration) -> "Figure":
    """Observed share over predicted probability, with the count of records of each bin."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], linestyle="--", color="grey", label="perfectly calibrated")
    predicted = [b.predicted for b in calibration.bins]
    observed = [b.observed for b in calibration.bins]
    axes.plot(predicted, observed, marker="o", label="out-of-fold predictions")
    for b in calibration.bins:
        axes.annotate(str(b.count), (b.predicted, b.observed), (4, -10), textcoords="offset points")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="predicted probability", ylabel="observed share")
    axes.legend(loc="upper left")
    return figure
