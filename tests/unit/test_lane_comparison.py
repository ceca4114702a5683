"""The comparison of the lanes sees every difference, in nested values as well."""

from typing import Any

import pytest

from local_stack.lanes import largest_difference

PREDICTION: dict[str, Any] = {
    "score": 0.2,
    "label": "No",
    "reasons": [
        {"feature": "x", "contribution": -0.5},
        {"feature": "n", "contribution": 0.25},
    ],
}


def changed(place: int, **members: Any) -> dict[str, Any]:
    """The prediction with one other reason."""
    reasons = [dict(reason) for reason in PREDICTION["reasons"]]
    reasons[place] |= members
    return PREDICTION | {"reasons": reasons}


def test_equal_predictions_do_not_differ() -> None:
    """Nested values included."""
    assert largest_difference([{"a": PREDICTION}, {"a": changed(0)}, {"a": changed(1)}]) == 0.0


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (changed(1, contribution=0.25 + 2**-54), 2**-54),
        (changed(0, contribution=0.5), 1.0),
        (changed(0, feature="n"), float("inf")),
        (changed(0, contribution=-1), float("inf")),
        (PREDICTION | {"reasons": PREDICTION["reasons"][::-1]}, float("inf")),
        (PREDICTION | {"reasons": PREDICTION["reasons"][:1]}, float("inf")),
        (PREDICTION | {"label": "Yes"}, float("inf")),
        ({k: v for k, v in PREDICTION.items() if k != "reasons"}, float("inf")),
    ],
)
def test_every_difference_is_seen(other: dict[str, Any], difference: float) -> None:
    """One bit of a contribution, another feature, another order, fewer reasons."""
    assert largest_difference([{"a": PREDICTION}, {"a": other}]) == difference
