"""Sums of float64 values without rounding: the same however the values are ordered and grouped.

A float64 is a whole number of 53 bits times a power of two. Values of one bin and one exponent are
added as whole numbers, and those as Python's, of any size.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BITS = 53
_LOW_BITS = 26
_SCALE = 1126
"""Sums count in units of 2 ** -1126, in which the least float64 is whole with 53 bits."""


def exact_sums(
    bins: NDArray[np.intp], values: NDArray[np.float64], counts: NDArray[np.int64], size: int
) -> list[int]:
    """The sum of each of `size` bins, in units of 2 ** -1126.

    `values` are finite and ascending, each `counts` times in its bin; `bins` are ascending too. No
    more than 2 ** 36 values in all.
    """
    totals = [0] * size
    if not len(values):
        return totals
    fractions, exponents = np.frexp(values)
    whole = np.ldexp(fractions, _BITS).astype(np.int64)
    # In two parts, so that no sum of a run exceeds 64 bits.
    high, low = whole >> _LOW_BITS, whole & ((1 << _LOW_BITS) - 1)
    changes = (np.diff(bins) != 0) | (np.diff(exponents) != 0)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    highs = np.add.reduceat(high * counts, starts).tolist()
    lows = np.add.reduceat(low * counts, starts).tolist()
    shifts = (exponents[starts] - _BITS + _SCALE).tolist()
    places = bins[starts].tolist()
    for place, shift, upper, lower in zip(places, shifts, highs, lows, strict=True):
        totals[place] += ((upper << _LOW_BITS) + lower) << shift
    return totals


def rounded(totals: Sequence[int]) -> NDArray[np.float64]:
    """Each sum as the float64 next to it, infinite beyond those."""
    return np.array([_rounded(total) for total in totals], dtype=np.float64)


def _rounded(total: int) -> float:
    try:
        return total / (1 << _SCALE)
    except OverflowError:
        return float("inf") if total > 0 else float("-inf")
