"""Figures as people read them."""

import pytest

from batch_scorer.report import words


@pytest.mark.parametrize(
    ("part", "of", "said"),
    [
        (0, 10, "0.0%"),
        (1, 100_000, "<0.1%"),
        (1, 1000, "0.1%"),
        (99_999, 100_000, ">99.9%"),
        (10, 10, "100.0%"),
        (0, 0, "-"),
    ],
)
def test_a_share_is_never_shown_as_nothing_or_everything_unless_it_is(
    part: int, of: int, said: str
) -> None:
    """One record of 100,000 is not none."""
    assert words.percent(part, of) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "0"), (0.25, "0.25"), (1234.5, "1,234"), (61_250.0, "61,250"), (9_999.9, "10,000"),
     (2e-5, "2.000e-05"), (-3e12, "-3.000e+12"), (None, "-"), (float("inf"), "-")],
)  # fmt: skip
def test_edges_have_four_digits(value: float | None, said: str) -> None:
    """And an exponent only where they are far from 1."""
    assert words.number(value) == said


@pytest.mark.parametrize(
    ("largest", "said"),
    [(0.97, "0.1250"), (1.0, "0.1250"), (7.0, "0.125"), (95_000.0, "0"), (0.0, "0.1250"),
     (0.0009, "0.1250000"), (1e-300, "0.125000000000")],
)  # fmt: skip
def test_a_column_has_the_decimals_of_its_largest_number(largest: float, said: str) -> None:
    """So that its numbers stand below each other."""
    assert words.fixed(0.125, words.decimals(largest)) == said


def test_differences_have_a_sign_unless_they_round_to_nothing() -> None:
    """A zero has none."""
    assert [words.signed(v, 2) for v in (0.126, -0.126, 0.004, -0.004, 0.0)] == [
        "+0.13", "-0.13", "0.00", "0.00", "0.00",
    ]  # fmt: skip
    assert [words.points(a, 0.5) for a in (0.4, 0.6, 0.5001, 0.4999)] == [
        "+10.0", "-10.0", "0.0", "0.0",
    ]  # fmt: skip
    assert words.fixed(-1e16, 2) == "-1.000e+16"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.42, "0.4 s"), (99.9, "99.9 s"), (99.96, "1 min 40 s"), (725.4, "12 min 5 s"),
     (3600.0, "1 h 0 min"), (200_000.0, "55 h 33 min")],
)  # fmt: skip
def test_durations(seconds: float, said: str) -> None:
    """Two units at most."""
    assert words.duration(seconds) == said


def test_sizes_counts_and_long_texts() -> None:
    """Binary units; the middle of a long text is left out."""
    assert [words.size(n) for n in (0, 1023, 1536, 5 << 30, 5 << 50)] == [
        "0 B", "1023 B", "1.5 KiB", "5.0 GiB", "5120.0 TiB",
    ]  # fmt: skip
    assert [words.plural(n, "file") for n in (0, 1, 2000)] == ["0 files", "1 file", "2,000 files"]
    assert words.shortened("abcdefghij", 10) == "abcdefghij"
    assert words.shortened("abcdefghijk", 10) == "abc...ijk"
