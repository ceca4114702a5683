"""Bars, what was measured against them, and the table that says so."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

HEADER: Final = "| what | measured | bar | |\n|---|---|---|---|"


@dataclass(frozen=True, slots=True)
class Bar:
    """One row: `met` is None where nothing is promised; `bar` then says why, or nothing."""

    what: str
    measured: str
    bar: str = ""
    met: bool | None = None

    @property
    def row(self) -> str:
        """As a line of a Markdown table."""
        verdict = {True: "PASS", False: "missed", None: ""}[self.met]
        return f"| {self.what} | {self.measured} | {self.bar} | {verdict} |"


def at_least(what: str, ratio: float, said: str, bound: float) -> Bar:
    """A ratio that must reach the bound; `said` are the numbers behind it."""
    return Bar(what, _measured(ratio, said), f"at least {bound:g} x", ratio >= bound)


def at_most(what: str, ratio: float, said: str, bound: float) -> Bar:
    """A ratio that must not exceed the bound."""
    return Bar(what, _measured(ratio, said), f"at most {bound:g} x", ratio <= bound)


def beside(what: str, ratio: float, said: str = "") -> Bar:
    """A ratio without a bar."""
    return Bar(what, _measured(ratio, said))


def within(what: str, seconds: float | None, bound_seconds: float, said: str = "") -> Bar:
    """A time that must not exceed the bound; None: it never happened."""
    if seconds is None:
        return Bar(what, f"not seen{_added(said)}", f"within {duration(bound_seconds)}", met=False)
    measured = f"{duration(seconds)}{_added(said)}"
    return Bar(what, measured, f"within {duration(bound_seconds)}", seconds <= bound_seconds)


def none_of(what: str, count: int, said: str = "") -> Bar:
    """Something that must not happen once."""
    return Bar(what, f"{count:,}{_added(said)}", "none", count == 0)


def duration(seconds: float) -> str:
    """For people: three digits in µs, ms or s."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.3g} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.3g} s"


def counted(counts: Mapping[str, int]) -> str:
    """Counts by name, for people."""
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))


def missed(bars: Iterable[Bar]) -> int:
    """How many promises were not kept."""
    return sum(bar.met is False for bar in bars)


def _measured(ratio: float, said: str) -> str:
    return f"{ratio:,.2f} x{_added(said)}" if ratio < 100 else f"{ratio:,.0f} x{_added(said)}"


def _added(said: str) -> str:
    return f" ({said})" if said else ""
