"""Figures as people read them, and short names of long things."""

from math import ceil, isfinite, log10
from typing import Final

_LONGEST: Final = 160


def whole(count: int) -> str:
    """`1,234`."""
    return f"{count:,}"


def percent(part: float, of: float) -> str:
    """`12.3%`; what is neither nothing nor everything is not shown as if it were."""
    if not of:
        return "-"
    share = part / of
    if 0 < share < 0.0005:
        return "<0.1%"
    if 0.9995 < share < 1:
        return ">99.9%"
    return f"{share:.1%}"


def number(value: float | None) -> str:
    """Four digits that count, without exponents where they are not needed."""
    if value is None or not isfinite(value):
        return "-"
    size = abs(value)
    if value and (size >= 1e9 or size < 1e-4):
        return f"{value:.3e}"
    return f"{value:,.0f}" if size >= 9_999.5 else f"{value:,.4g}"


def index(value: float) -> str:
    """Of 0 and more: `0.021`, `<0.001`."""
    return "<0.001" if 0 < value < 0.001 else f"{value:.3f}"


def decimals(largest: float) -> int:
    """How many of them show four digits of numbers up to that size; at most 12."""
    digits = ceil(log10(abs(largest))) if largest else 0
    return min(max(4 - digits, 0), 12)


def fixed(value: float | None, places: int) -> str:
    """With so many decimals; numbers of more than 15 digits with an exponent."""
    if value is None or not isfinite(value):
        return "-"
    if abs(value) >= 1e15:
        return f"{value:.3e}"
    return f"{round(value, places) + 0.0:,.{places}f}"  # without the sign of a zero


def signed(value: float, places: int) -> str:
    """`+0.0123` or `-0.0123`."""
    text = fixed(value, places)
    return f"+{text}" if round(value, places) > 0 else text


def points(before: float, now: float) -> str:
    """The difference of two shares in percentage points: `+1.2`."""
    difference = round((now - before) * 100, 1)
    if difference == 0:
        return "0.0"
    return f"{difference:+.1f}"


def duration(seconds: float) -> str:
    """`0.4 s`, `12 min 5 s`, `3 h 20 min`."""
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def size(count: int) -> str:
    """`12.3 MiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def plural(count: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def shortened(text: str, longest: int = _LONGEST) -> str:
    """At most so many characters, the middle left out."""
    if len(text) <= longest:
        return text
    half = (longest - 3) // 2
    return f"{text[:half]}...{text[-half:]}"
