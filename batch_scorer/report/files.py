"""The files that are worth a row: those that failed, the slowest, those with most rejections."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from batch_scorer.run_manifest import Counts, InputReport

MOST_ROWS: Final = 50
_MOST_FAILED: Final = 30
_MOST_OTHERS: Final = 10


@dataclass(frozen=True, slots=True)
class Rest:
    """Files that have no row."""

    files: int
    failed: int
    counts: Counts
    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Chosen:
    """At most `MOST_ROWS` files, and the sums of the others, if there are any."""

    rows: tuple[InputReport, ...]
    rest: Rest | None


def chosen_files(inputs: Sequence[InputReport]) -> Chosen:
    """First those that failed, then by rejections, then by seconds, the most first.

    Of more than `MOST_ROWS` files these are the first 30 that failed, the 10 with most rejections,
    the 10 slowest.
    """
    places = range(len(inputs))
    if len(inputs) > MOST_ROWS:
        failed = [i for i in places if inputs[i].error is not None][:_MOST_FAILED]
        rejected = sorted(places, key=lambda i: -inputs[i].rejected)[:_MOST_OTHERS]
        slowest = sorted(places, key=lambda i: -inputs[i].seconds)[:_MOST_OTHERS]
        kept = {*failed, *(i for i in rejected if inputs[i].rejected), *slowest}
    else:
        kept = set(places)
    rows = sorted((inputs[i] for i in sorted(kept)), key=_rank)
    others = [inputs[i] for i in places if i not in kept]
    return Chosen(tuple(rows), _rest(others) if others else None)


def slowest_file(inputs: Sequence[InputReport]) -> InputReport | None:
    """Of several files the one that took most work."""
    return max(inputs, key=lambda report: report.seconds) if len(inputs) > 1 else None


def _rank(report: InputReport) -> tuple[bool, int, float]:
    return report.error is None, -report.rejected, -report.seconds


def _rest(others: Sequence[InputReport]) -> Rest:
    return Rest(
        files=len(others),
        failed=sum(report.error is not None for report in others),
        counts=sum((Counts(r.received, r.scored, r.rejected) for r in others), Counts()),
        size=sum(report.size for report in others),
        seconds=sum(report.seconds for report in others),
    )
