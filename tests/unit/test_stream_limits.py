"""When rejections stop the worker."""

from collections.abc import Sequence

import pytest

from scoring.errors import TerminalError, TooManyRejections
from scoring.records import RejectionCode
from stream_worker.limits import LEAST, WINDOW, RejectionLimit

BAD = RejectionCode.WRONG_TYPE
Codes = list[RejectionCode | None]


def stops(limit: RejectionLimit, codes: Sequence[RejectionCode | None]) -> bool:
    """Whether the limit ends the worker over these events."""
    try:
        limit.look({at: c for at, c in enumerate(codes) if c is not None}, len(codes))
    except TooManyRejections:
        return True
    return False


@pytest.mark.parametrize(("rejected", "stopped"), [(50, False), (51, True)])
def test_the_share_may_be_reached_and_not_exceeded(rejected: int, stopped: bool) -> None:
    """Of a hundred events half may be rejected."""
    codes: Codes = [BAD] * rejected + [None] * (100 - rejected)
    assert stops(RejectionLimit(0.5, 0), codes) == stopped


def test_few_events_say_nothing() -> None:
    """A share is one of a hundred events at least."""
    limit = RejectionLimit(0.5, 0)
    assert not stops(limit, [BAD] * (LEAST - 1))
    assert stops(limit, [BAD])


def test_the_share_is_that_of_the_last_events() -> None:
    """A long good past does not hide what is bad now, and a bad one is forgotten."""
    limit = RejectionLimit(0.5, 0)
    assert not stops(limit, [None] * 10 * WINDOW)
    assert not stops(limit, [BAD] * (WINDOW // 2))
    assert not stops(limit, [None] * WINDOW)
    assert not stops(limit, [BAD] * (WINDOW // 2))
    assert stops(limit, [BAD])


@pytest.mark.parametrize("sizes", [[7], [1] * 7, [3, 4]])
def test_rejections_in_a_row_are_counted_across_batches(sizes: list[int]) -> None:
    """Six may follow each other when the limit says so, and a seventh may not."""
    limit = RejectionLimit(1, 6)
    outcomes = [stops(limit, [BAD] * size) for size in sizes]
    assert outcomes == [False] * (len(sizes) - 1) + [True]
    good = RejectionLimit(1, 6)
    assert not any(stops(good, [BAD] * 6 + [None]) for _ in range(50))


def test_both_limits_can_be_turned_off() -> None:
    """A share of 1 and a run of 0 never stop anything."""
    assert not stops(RejectionLimit(1, 0), [BAD] * 5 * WINDOW)
    assert not stops(RejectionLimit(1, 0), [])


@pytest.mark.parametrize(
    ("limit", "setting", "numbers"),
    [
        (RejectionLimit(1, 2), "--max-rejected-run", "3 events in a row"),
        (RejectionLimit(0.1, 0), "--max-rejected-share", "51 of the last 151 events"),
    ],
)
def test_the_error_says_what_a_person_needs(
    limit: RejectionLimit, setting: str, numbers: str
) -> None:
    """How much was rejected and why, the setting to change, and what became of the batch; it is
    terminal, as starting again would not help.
    """
    codes: Codes = [None] * 100 + [RejectionCode.MISSING_FIELD] * 40
    codes += [BAD] * 10 + [RejectionCode.MALFORMED]
    with pytest.raises(TooManyRejections) as raised:
        limit.look({at: c for at, c in enumerate(codes) if c is not None}, len(codes))
    assert isinstance(raised.value, TerminalError)
    text = str(raised.value)
    assert text.startswith(numbers)
    assert setting in text
    assert "missing_field" in text
    assert "neither published nor committed" in text
