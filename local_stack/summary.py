"""What the demo found, as checks that can fail and as one readable page."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from local_stack.lanes import largest_difference
from local_stack.log_counts import LaneOutcome
from local_stack.tour import Findings


@dataclass(frozen=True, slots=True)
class Verdict:
    """What monitoring said of one window."""

    name: str
    window: str
    rows: int
    status: str
    features: tuple[str, ...]
    prediction_drift: bool
    report: str


@dataclass(frozen=True, slots=True)
class Check:
    """One promise of the demo, and whether it held."""

    name: str
    holds: bool
    found: str


@dataclass(frozen=True, slots=True)
class Place:
    """Something to look at afterwards."""

    title: str
    where: str


def difference_of(findings: Findings) -> float:
    """The largest difference of any value of any prediction between the lanes."""
    return largest_difference(
        [
            findings.one_at_a_time.predictions,
            findings.in_hundreds.predictions,
            findings.stream,
            findings.batch,
        ]
    )


def checks(
    findings: Findings,
    logged: Counter[LaneOutcome],
    normal: Verdict,
    changed: Verdict,
    shifted_features: Sequence[str],
) -> list[Check]:
    """Everything the demo promises."""
    count, difference = findings.employees, difference_of(findings)
    totals = findings.manifest["totals"]
    expected = {"online": 2 * count, "stream": 2 * count, "batch": count}
    scored = {lane: logged[(lane, "scored")] for lane in expected}
    return [
        Check("every lane gives identical scores", difference == 0, f"{difference:g}"),
        Check(
            "batch: scored plus rejected is received",
            totals["scored"] + totals["rejected"] == totals["received"] == count,
            f"{totals['scored']} + {totals['rejected']} of {totals['received']}",
        ),
        Check("stream: no dead letters", findings.dead_letters == 0, f"{findings.dead_letters}"),
        Check("every record is in the inference log", scored == expected, f"{scored}"),
        Check("normal window: no drift", normal.status == "ok", normal.status),
        Check(
            "shifted window: exactly the shifted features",
            changed.status == "drift" and changed.features == tuple(sorted(shifted_features)),
            ", ".join(changed.features) or changed.status,
        ),
    ]


def page(
    findings: Findings,
    logged: Counter[LaneOutcome],
    verdicts: Sequence[Verdict],
    results: Sequence[Check],
    places: Sequence[Place],
) -> str:
    """The summary, about 30 lines."""
    lines = ["", "Records", *_records(logged)]
    lines += ["", "Scores", f"  largest difference between lanes   {difference_of(findings):g}"]
    for title, scores in (
        ("one record per request", findings.one_at_a_time),
        ("100 records per request", findings.in_hundreds),
    ):
        median, high = (quantile_ms(scores.seconds, share) for share in (0.5, 0.99))
        lines.append(f"  online, {title:<25}  median {median:.2f} ms, p99 {high:.2f} ms")
    lines += ["", "Drift"]
    for verdict in verdicts:
        named = f" in {', '.join(verdict.features)}" if verdict.features else ""
        score = "; the scores drifted too" if verdict.prediction_drift else ""
        lines.append(
            f"  {verdict.name:<8} {verdict.window}  {verdict.rows:>5} rows  "
            f"{verdict.status}{named}{score}"
        )
    lines += ["", "Checks"]
    lines += [f"  {'ok  ' if c.holds else 'FAIL'}  {c.name} ({c.found})" for c in results]
    lines += ["", "Where to look", *(f"  {p.title:<20} {p.where}" for p in places), ""]
    return "\n".join(lines)


def quantile_ms(seconds: Sequence[float], share: float) -> float:
    """The nearest-rank quantile of some durations, in milliseconds."""
    ordered = sorted(seconds)
    return 1000 * ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _records(logged: Counter[LaneOutcome]) -> list[str]:
    lines = []
    for lane in ("online", "stream", "batch"):
        scored, rejected = logged[(lane, "scored")], logged[(lane, "rejected")]
        lines.append(f"  {lane:<8} scored {scored:>6,}   rejected {rejected:>3,}")
    return lines
