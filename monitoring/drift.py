"""From measurements to verdicts: the policy, applied to all columns of a window at once.

Three families, each with its false discovery rate held by Benjamini and Hochberg's procedure: all
distribution and missing-value tests of the features; the outputs (with one output that is the plain
rule p <= q); the outlier score. A test speaks of drift only when its effect is large enough too,
so that a window of a million records does not alarm about what nobody would mind. Rules (new
category, out of range) need no test.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from monitoring.checks import Check, Subject, check_column
from monitoring.columns import Role
from monitoring.comparison import adjusted
from monitoring.entries import LaneProfile
from monitoring.policy import Policy
from monitoring.reference import Reference

Status = Literal["ok", "drift", "insufficient_data", "error"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One judged check. `details` is one sentence of statistics, without any record's value."""

    check: Check
    status: Status
    p_value_adjusted: float | None
    details: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What the verdicts of a window come to.

    `tested` and `drifted` name features, in the model's order. `output_drift` and `outlier_drift`
    are None when no output, or no outlier score, could be tested.
    """

    status: Status
    tested: tuple[str, ...]
    drifted: tuple[str, ...]
    output_drift: bool | None
    outlier_drift: bool | None


def judge(reference: Reference, current: LaneProfile, policy: Policy) -> list[Verdict]:
    """Verdicts on every watched column, in order; the same input gives the same verdicts."""
    checks: list[Check] = []
    for column in reference.watched:
        subject = Subject(
            column,
            reference.columns.get(column.column),
            current.columns.get(column.column),
            current.scored,
            current.unreadable.get(column.column, 0),
        )
        checks += check_column(subject, policy)
    levels = {"feature": policy.features.q, "output": policy.outputs.q, "outlier": policy.outputs.q}
    corrected = _adjusted(checks)
    return [_verdict(c, corrected.get(i), levels[c.column.role]) for i, c in enumerate(checks)]


def summarize(verdicts: Sequence[Verdict], damaged: bool) -> Summary:
    """The window's status: drift if any verdict says so, else error if any, else ok.

    `damaged` means that a part of the window could not be read, which is an error too. With
    nothing that could be judged the status is insufficient_data.
    """
    statuses: set[Status] = {v.status for v in verdicts} | ({"error"} if damaged else set())
    ranked: tuple[Status, ...] = ("drift", "error", "ok")
    status: Status = next((s for s in ranked if s in statuses), "insufficient_data")
    features = [v for v in verdicts if v.check.column.role == "feature"]
    return Summary(
        status,
        _names(v for v in features if v.status in ("ok", "drift")),
        _names(v for v in features if v.status == "drift"),
        _role_drift(verdicts, "output"),
        _role_drift(verdicts, "outlier"),
    )


def _adjusted(checks: Sequence[Check]) -> Mapping[int, float]:
    found: dict[int, float] = {}
    for role in ("feature", "output", "outlier"):
        tests = [
            (i, c.p_value)
            for i, c in enumerate(checks)
            if c.column.role == role and c.p_value is not None
        ]
        values = adjusted([p for _, p in tests])
        found |= {i: p for (i, _), p in zip(tests, values, strict=True)}
    return found


def _verdict(check: Check, p_adjusted: float | None, level: float) -> Verdict:
    if check.problem is not None or check.effect is None:
        status: Status = check.problem or "error"
        return Verdict(check, status, None, f"{check.column.name}: {check.finding}.")
    drift = check.effect >= check.threshold and (p_adjusted is None or p_adjusted <= level)
    details = f"{check.column.name}: {check.finding}"
    if p_adjusted is not None:
        details += f", adjusted p {p_adjusted:.2g} (level {level:g})"
    return Verdict(check, "drift" if drift else "ok", p_adjusted, f"{details}.")


def _names(verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(v.check.column.name for v in verdicts))


def _role_drift(verdicts: Sequence[Verdict], role: Role) -> bool | None:
    found = [v.status for v in verdicts if v.check.column.role == role]
    if not any(status in ("ok", "drift") for status in found):
        return None
    return "drift" in found
