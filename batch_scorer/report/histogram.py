"""Bins as bars: where they stand and how high they are, in the units of one SVG drawing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from batch_scorer.distribution import Distribution
from batch_scorer.report.words import number, percent

WIDTH: Final = 1000.0
HEIGHT: Final = 100.0

_GAP: Final = 0.12
"""Between bars, as a part of a bar."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bin: a rectangle, and in words what it stands for. `outside` of the bins' range."""

    x: float
    y: float
    width: float
    height: float
    label: str
    records: int
    share: str
    before: str
    outside: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """A number below the drawing, so many hundredths of its width from the left."""

    left: float
    text: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """A drawing of `WIDTH` by `HEIGHT`; `outline` is the run before as the path of a line, empty
    without one. `top` is the share of records at the upper border.
    """

    bars: tuple[Bar, ...]
    outline: str
    ticks: tuple[Tick, ...]
    top: str


def histogram(
    edges: Sequence[float], now: Distribution, before: Distribution | None
) -> Histogram | None:
    """The bins of an output with those of the run before; None without bins or records.

    What lies outside of the edges has a bar at that side if there is any.
    """
    if not now.counts or not now.count:
        return None
    if before is not None and (not before.count or len(before.counts) != len(now.counts)):
        before = None
    then = before.counts if before is not None else [0] * len(now.counts)
    last = len(now.counts) - 1
    shown = [i for i in range(last + 1) if 0 < i < last or now.counts[i] or then[i]]
    shares = [now.counts[i] / now.count for i in shown]
    shares_then = [then[i] / before.count if before is not None else 0.0 for i in shown]
    top = max(*shares, *shares_then)
    step = WIDTH / len(shown)
    bars = tuple(
        Bar(
            x=round((place + _GAP / 2) * step, 2),
            y=round(HEIGHT * (1 - share / top), 2),
            width=round((1 - _GAP) * step, 2),
            height=round(HEIGHT * share / top, 2),
            label=_label(edges, index),
            records=now.counts[index],
            share=percent(now.counts[index], now.count),
            before=percent(then[index], before.count) if before is not None else "",
            outside=index in (0, last),
        )
        for place, (index, share) in enumerate(zip(shown, shares, strict=True))
    )
    outline = _outline(shares_then, top, step) if before is not None else ""
    return Histogram(
        bars, outline, _ticks(edges, shown), f"{top:.0%}" if top >= 0.1 else f"{top:.1%}"
    )


def _outline(shares: Sequence[float], top: float, step: float) -> str:
    """Steps along the tops of the bins, down to the ground at both ends."""
    path = [f"M0 {HEIGHT:g}"]
    for place, share in enumerate(shares):
        path.append(f"V{HEIGHT * (1 - share / top):.2f}H{(place + 1) * step:.2f}")
    return "".join([*path, f"V{HEIGHT:g}"])


def _ticks(edges: Sequence[float], shown: Sequence[int]) -> tuple[Tick, ...]:
    """At every fifth edge and the last."""
    places = sorted({*range(0, len(edges), 5), len(edges) - 1})
    offset = 1 if shown[0] == 0 else 0
    return tuple(
        Tick(round(100 * (place + offset) / len(shown), 2), number(edges[place]))
        for place in places
    )


def _label(edges: Sequence[float], index: int) -> str:
    if index == 0:
        return f"below {number(edges[0])}"
    if index == len(edges):
        return f"above {number(edges[-1])}"
    return f"{number(edges[index - 1])} to {number(edges[index])}"
