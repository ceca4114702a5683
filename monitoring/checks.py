"""Measurements of one column: every check the policy knows, not yet judged."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from monitoring import comparison
from monitoring.columns import WatchedColumn
from monitoring.policy import Policy
from monitoring.profile import (
    CategoryProfile,
    Counts,
    Floats,
    NumericProfile,
    Profile,
    binned,
)
from monitoring.reference import ReferenceColumn

Method = Literal["ks_w1", "chi2_tv", "missing_z", "out_of_range", "new_category"]
Problem = Literal["insufficient_data", "error"]


@dataclass(frozen=True, slots=True)
class Shares:
    """What is known about a column whatever is tested; counts are of values that are present."""

    missing: float | None = None
    missing_reference: float | None = None
    new_category: float | None = None
    out_of_range: float | None = None
    current_count: int = 0
    reference_count: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """One measurement of one column.

    `effect` is compared with `threshold`; `p_value` is None for a rule, which needs no test.
    `problem` says that nothing could be measured, and `finding` why; otherwise `finding` says
    what was measured, in statistics only.
    """

    column: WatchedColumn
    method: Method
    shares: Shares
    threshold: float
    finding: str
    effect: float | None = None
    p_value: float | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """One column of a window beside its reference, as far as there is one of either.

    `records` were scored in the window; in `unreadable` of them the column could not be read.
    """

    column: WatchedColumn
    reference: ReferenceColumn | None
    current: Profile | None
    records: int
    unreadable: int


def check_column(subject: Subject, policy: Policy) -> list[Check]:
    """All checks of one column, in the order distribution, missing values, rule.

    Outputs and the outlier score have the first one only. Never raises for what is in a column.
    """
    reference, current, records = subject.reference, subject.current, subject.records
    shares = _shares(subject)
    methods = _methods(subject.column, policy)
    if records < policy.min_records:
        why = f"{records} records, a verdict needs {policy.min_records}"
        return _unable(subject, shares, methods, "insufficient_data", why)
    if reference is None:
        return _unable(subject, shares, methods, "error", "the reference has no value of it")
    if subject.unreadable or current is None:
        why = f"absent or of another type in {subject.unreadable} of {records} records"
        return _unable(subject, shares, methods, "error", why)
    checks: list[Check] = []
    for method, threshold in methods.items():
        if method != "missing_z" and current.present < policy.min_records:
            why = f"{current.present} values, a verdict needs {policy.min_records}"
            checks += _unable(subject, shares, {method: threshold}, "insufficient_data", why)
            continue
        finding = _find(method, threshold, reference, current, shares)
        if finding is not None:
            checks.append(_check(subject.column, method, shares, threshold, finding))
    return checks


@dataclass(frozen=True, slots=True)
class _Finding:
    text: str
    effect: float | None = None
    p_value: float | None = None
    problem: Problem | None = None


def _check(
    column: WatchedColumn, method: Method, shares: Shares, threshold: float, finding: _Finding
) -> Check:
    effect, p_value, problem = finding.effect, finding.p_value, finding.problem
    return Check(column, method, shares, threshold, finding.text, effect, p_value, problem)


def _methods(column: WatchedColumn, policy: Policy) -> dict[Method, float]:
    """What is done with a column, with the least effect that counts."""
    family = policy.features if column.role == "feature" else policy.outputs
    methods: dict[Method, float] = {}
    if column.is_numeric:
        methods["ks_w1"] = family.numeric_effect
    else:
        methods["chi2_tv"] = family.categorical_effect
    if column.role == "feature":
        methods["missing_z"] = policy.features.missing_effect
        if column.is_numeric:
            methods["out_of_range"] = policy.rules.out_of_range_share
        else:
            methods["new_category"] = policy.rules.new_category_share
    return methods


def _find(
    method: Method, limit: float, reference: ReferenceColumn, current: Profile, shares: Shares
) -> _Finding | None:
    """What a method finds; None where it cannot apply (too many categories to know new ones)."""
    before = reference.profile
    if method == "missing_z":
        return _missing(before, current, shares, limit)
    if method == "out_of_range" and shares.out_of_range is not None:
        text = f"{shares.out_of_range:.1%} of the values lie outside the reference's range"
        return _Finding(f"{text} (limit {limit:.1%})", shares.out_of_range)
    if method == "new_category" and shares.new_category is not None:
        text = f"{shares.new_category:.1%} of the values are in categories new to the reference"
        return _Finding(f"{text} (limit {limit:.1%})", shares.new_category)
    if isinstance(before, NumericProfile) and isinstance(current, NumericProfile):
        return _numbers(reference, before, current, limit) if method == "ks_w1" else None
    if isinstance(before, CategoryProfile) and isinstance(current, CategoryProfile):
        return _categories(before, current, limit) if method == "chi2_tv" else None
    return None


def _numbers(
    reference: ReferenceColumn, before: NumericProfile, current: NumericProfile, limit: float
) -> _Finding:
    if not current.finite:
        return _Finding("no finite value to compare", problem="error")
    if current.points is None or before.points is None:
        current, before = binned(current), binned(before)
    moved, mean = _moved(reference, before, current), _mean(current)
    if not np.isfinite([moved, mean, reference.mean]).all():
        return _Finding("values too large to compare", problem="error")
    distance = comparison.ks_distance(*_steps(before), *_steps(current))
    p_value = comparison.ks_p_value(distance, before.finite, current.finite)
    amount = f"moved by {moved:.3g} standard deviations of the reference"
    if _is_constant(before):
        amount = f"a share of {moved:.3g} differs from the reference's only value"
    text = (
        f"{amount} (limit {limit:g}), mean {reference.mean:.6g} -> {mean:.6g}, "
        f"KS distance {distance:.3g}"
    )
    return _Finding(text, moved, p_value)


def _moved(reference: ReferenceColumn, before: NumericProfile, current: NumericProfile) -> float:
    """W1 in standard deviations of the reference; of a constant one, the share that differs."""
    if _is_constant(before):
        return (current.out_of_range - current.infinite) / current.finite
    distance = comparison.wasserstein(*_masses(before), *_masses(current))
    with np.errstate(all="ignore"):
        return float(np.float64(distance) / reference.deviation)


def _is_constant(reference: NumericProfile) -> bool:
    return reference.grid.low == reference.grid.high


def _steps(profile: NumericProfile) -> tuple[Floats, Counts]:
    """Where the distribution function is known: at every value, or at every bin's upper edge."""
    if profile.points is None:
        return np.arange(len(profile.counts), dtype=np.float64), profile.counts
    return profile.points, profile.counts


def _masses(profile: NumericProfile) -> tuple[Floats, Counts]:
    """Values with their counts; a bin stands at its mean."""
    if profile.points is not None:
        return profile.points, profile.counts
    filled = profile.counts > 0
    means = profile.sums[filled] / profile.counts[filled]
    # Rounding may put a mean an ulp beyond its bin.
    return np.maximum.accumulate(means), profile.counts[filled]


def _mean(profile: NumericProfile) -> float:
    with np.errstate(all="ignore"):
        return float(profile.sums.sum() / profile.finite)


def _categories(before: CategoryProfile, current: CategoryProfile, limit: float) -> _Finding:
    now, then = np.append(current.counts, current.others), np.append(before.counts, before.others)
    distance = comparison.total_variation(now, then)
    statistic, degrees, p_value = comparison.chi_square(now, then)
    largest = float(np.abs(now / now.sum() - then / then.sum()).max())
    text = (
        f"{distance:.1%} of the values are in other categories than the reference would have them "
        f"(limit {limit:.1%}), largest change of one category {100 * largest:.1f} points, "
        f"chi-square {statistic:.4g} with {degrees} degrees of freedom"
    )
    return _Finding(text, distance, p_value)


def _missing(before: Profile, current: Profile, shares: Shares, limit: float) -> _Finding:
    now, then = shares.missing or 0.0, shares.missing_reference or 0.0
    p_value = comparison.two_proportion_p_value(
        current.missing,
        current.missing + current.present,
        before.missing,
        before.missing + before.present,
    )
    text = f"missing values {then:.1%} -> {now:.1%} of the records (limit {100 * limit:g} points)"
    return _Finding(text, abs(now - then), p_value)


def _unable(
    subject: Subject, shares: Shares, methods: dict[Method, float], problem: Problem, why: str
) -> list[Check]:
    return [Check(subject.column, m, shares, t, why, problem=problem) for m, t in methods.items()]


def _shares(subject: Subject) -> Shares:
    if subject.reference is None:
        return Shares()
    before, current = subject.reference.profile, subject.current
    then = before.missing / (before.missing + before.present)
    if current is None or subject.unreadable:
        return Shares(missing_reference=then, reference_count=before.present)
    new = outside = None
    if current.present and isinstance(current, NumericProfile):
        outside = current.out_of_range / current.present
    elif current.present and isinstance(current, CategoryProfile) and current.grid.complete:
        new = current.others / current.present
    now = current.missing / (current.missing + current.present)
    return Shares(now, then, new, outside, current.present, before.present)
