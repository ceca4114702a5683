"""What the page shows of one output: figures, bins or values, and the change."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from batch_scorer.distribution import Distribution
from batch_scorer.report.change import Change, change
from batch_scorer.report.histogram import Histogram, histogram
from batch_scorer.report.quantiles import quantile
from batch_scorer.report.words import decimals, fixed, index, percent, points, shortened, signed
from batch_scorer.run_manifest import RunManifest

MOST_OUTPUTS: Final = 20
MOST_VALUES: Final = 12

_QUANTILES: Final = ((0.1, "10th percentile"), (0.5, "Median"), (0.9, "90th percentile"))


@dataclass(frozen=True, slots=True)
class Figure:
    """One number now and before, and their difference; as text, empty where there is none."""

    name: str
    now: str
    before: str
    difference: str


@dataclass(frozen=True, slots=True)
class Value:
    """Records with one value; `width` is their share of all and `mark` that of the run before, in
    hundredths.
    """

    text: str
    records: int
    width: float
    mark: float | None
    share: str
    before: str
    difference: str


@dataclass(frozen=True, slots=True)
class ShownOutput:
    """One output. `values` lacks the rarest of many; `others` sums them up."""

    name: str
    figures: tuple[Figure, ...]
    drawing: Histogram | None
    values: tuple[Value, ...]
    others: str
    change: Change | None
    total_variation: str
    stability: str


def shown_outputs(manifest: RunManifest, previous: RunManifest | None) -> list[ShownOutput]:
    """The first `MOST_OUTPUTS` outputs that have records."""
    found = [(name, d) for name, d in manifest.distribution.items() if d.count]
    return [_shown(manifest, previous, name, now) for name, now in found[:MOST_OUTPUTS]]


def _shown(
    manifest: RunManifest, previous: RunManifest | None, name: str, now: Distribution
) -> ShownOutput:
    edges, before, same = manifest.bins.get(name, []), None, False
    if previous is not None:
        before = previous.distribution.get(name)
        same = previous.bins.get(name, []) == edges
    found = change(before, now, same) if before is not None else None
    values, others = _values(now, before)
    return ShownOutput(
        name=shortened(name),
        figures=tuple(_figures(edges, now, before, same)),
        drawing=histogram(edges, now, before if same else None),
        values=values,
        others=others,
        change=found,
        total_variation=_index(found.total_variation if found else None),
        stability=_index(found.stability if found else None),
    )


def _index(value: float | None) -> str:
    return "" if value is None else index(value)


def _figures(
    edges: list[float], now: Distribution, before: Distribution | None, same: bool
) -> Iterator[Figure]:
    if now.minimum is None or now.maximum is None:
        return
    then = before if before is not None and before.count else Distribution()
    places = decimals(max(abs(now.minimum), abs(now.maximum)))
    yield _figure("Mean", now.mean, then.mean, places)
    for share, words in _QUANTILES if now.counts else ():
        old = quantile(then, edges, share) if same else None
        yield _figure(words, quantile(now, edges, share), old, places)
    yield _figure("Minimum", now.minimum, then.minimum, places)
    yield _figure("Maximum", now.maximum, then.maximum, places)


def _figure(name: str, now: float | None, before: float | None, places: int) -> Figure:
    if now is None or before is None:
        return Figure(name, fixed(now, places), "" if before is None else fixed(before, places), "")
    return Figure(name, fixed(now, places), fixed(before, places), signed(now - before, places))


def _values(now: Distribution, before: Distribution | None) -> tuple[tuple[Value, ...], str]:
    if not now.values:
        return (), ""
    then = before if before is not None and before.values else None
    counts = {**dict.fromkeys(then.values if then else (), 0), **now.values}
    ordered = sorted(counts, key=lambda text: (-counts[text], text))
    shown = tuple(_value(text, now, then) for text in ordered[:MOST_VALUES])
    left = [counts[text] for text in ordered[MOST_VALUES:]]
    others = f"{len(left)} other values: {sum(left):,} records" if left else ""
    return shown, others


def _value(text: str, now: Distribution, then: Distribution | None) -> Value:
    records = now.values.get(text, 0)
    share = records / now.count
    if then is None:
        return Value(shortened(text, 60), records, share * 100, None, percent(share, 1), "", "")
    old = then.values.get(text, 0) / then.count
    return Value(
        text=shortened(text, 60),
        records=records,
        width=round(share * 100, 2),
        mark=round(old * 100, 2),
        share=percent(share, 1),
        before=percent(old, 1),
        difference=points(old, share),
    )
