"""The policy: what is drift, what is not, and what is named."""

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from monitoring.drift import Summary, Verdict, judge, summarize
from tests.support.drift import entries_from, reference_from, shipped_policy, table_of

Columns = dict[str, NDArray[Any]]

POLICY = shipped_policy()
NUMBERS = [f"number{i}" for i in range(12)]
TEXTS = [f"text{i}" for i in range(8)]


def sample(count: int, rng: np.random.Generator) -> Columns:
    """Records of an unchanged population: normal, skewed, few-valued and categorical columns."""
    columns: Columns = {}
    for i, name in enumerate(NUMBERS):
        kinds = [rng.normal(40, 9, count), rng.lognormal(8, 0.6, count), rng.integers(1, 5, count)]
        columns[name] = kinds[i % 3]
    for i, name in enumerate(TEXTS):
        shares = np.arange(1, i + 3) / np.arange(1, i + 3).sum()
        columns[name] = rng.choice([f"value {k}" for k in range(i + 2)], count, p=shares)
    columns["score"] = rng.beta(1, 5, count)
    columns["outlier_score"] = rng.beta(20, 30, count)
    return columns


REFERENCE_COLUMNS = sample(1470, np.random.default_rng(7))
REFERENCE = reference_from(REFERENCE_COLUMNS, POLICY)


def verdicts(columns: Columns | pa.Table) -> list[Verdict]:
    """What the shipped policy says about a window."""
    return judge(REFERENCE, entries_from(REFERENCE, columns), POLICY)


def summary(columns: Columns | pa.Table) -> Summary:
    """What the verdicts come to."""
    return summarize(verdicts(columns), False)


def verdict(found: list[Verdict], name: str, method: str) -> Verdict:
    """The verdict of one check."""
    (one,) = [v for v in found if (v.check.column.name, v.check.method) == (name, method)]
    return one


def some(rng: np.random.Generator, count: int, share: float) -> NDArray[np.bool_]:
    """A mask of about `share` of the records."""
    return rng.random(count) < share


def moved(columns: Columns, rng: np.random.Generator) -> str:
    """0.3 standard deviations up."""
    columns["number0"] = columns["number0"] + 0.3 * REFERENCE_COLUMNS["number0"].std()
    return "number0"


def rescaled(columns: Columns, rng: np.random.Generator) -> str:
    """Yearly instead of monthly for a quarter of the records."""
    columns["number1"][some(rng, len(columns["number1"]), 0.25)] *= 12
    return "number1"


def emptied(columns: Columns, rng: np.random.Generator) -> str:
    """A tenth of the values missing."""
    columns["number4"][some(rng, len(columns["number4"]), 0.1)] = np.nan
    return "number4"


def renamed(columns: Columns, rng: np.random.Generator) -> str:
    """A twentieth in a category that the reference does not have."""
    changed = columns["text5"].astype(object)
    changed[some(rng, len(changed), 0.05)] = "a secret value"
    columns["text5"] = changed
    return "text5"


def reweighted(columns: Columns, rng: np.random.Generator) -> str:
    """A fifth of the records in another category that is known."""
    columns["text2"][some(rng, len(columns["text2"]), 0.2)] = "value 0"
    return "text2"


SHIFTS = [moved, rescaled, emptied, renamed, reweighted]


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_shift_is_found_and_nothing_else_named(shift: Any) -> None:
    """In 12 windows of 1,000 records every shift is found; at most one names a feature more."""
    rng = np.random.default_rng(11)
    exact = 0
    for _ in range(12):
        columns = sample(1000, rng)
        name = shift(columns, rng)
        found = summary(columns)
        assert found.status == "drift"
        assert name in found.drifted
        exact += found.drifted == (name,)
    assert exact >= 11


def test_several_shifts_are_all_named() -> None:
    """Exactly the shifted features are named, in the model's order."""
    rng = np.random.default_rng(3)
    columns = sample(2000, rng)
    names = {shift(columns, rng) for shift in SHIFTS}
    found = summary(columns)
    assert found.drifted == tuple(n for n in NUMBERS + TEXTS if n in names)
    assert found.output_drift is False
    assert found.outlier_drift is False


def test_an_unchanged_population_hardly_ever_alarms() -> None:
    """Of 60 references, each with a window of 1,000 records, at most 6 raise any alarm."""
    rng = np.random.default_rng(2026)
    alarms = 0
    for _ in range(60):
        reference = reference_from(sample(1470, rng), POLICY)
        found = judge(reference, entries_from(reference, sample(1000, rng)), POLICY)
        alarms += summarize(found, False).status == "drift"
    assert alarms <= 6


def test_a_tiny_change_in_many_records_is_no_drift() -> None:
    """Significant is not enough: below the least effect a verdict is ok."""
    columns = sample(20_000, np.random.default_rng(5))
    reference = reference_from(columns, POLICY)
    columns["number0"] = columns["number0"] + 0.08 * columns["number0"].std()
    found = judge(reference, entries_from(reference, columns), POLICY)
    one = verdict(found, "number0", "ks_w1")
    assert one.p_value_adjusted is not None
    assert one.p_value_adjusted < 0.05
    assert one.status == "ok"
    assert summarize(found, False).drifted == ()


@pytest.mark.parametrize("role", ["score", "outlier_score"])
def test_scores_are_families_of_their_own(role: str) -> None:
    """A drifted score makes the window drift and no feature."""
    columns = sample(1000, np.random.default_rng(6))
    columns[role] = np.sqrt(columns[role])
    found = summary(columns)
    assert (found.status, found.drifted) == ("drift", ())
    assert found.output_drift is (role == "score")
    assert found.outlier_drift is (role == "outlier_score")


def test_every_feature_has_three_verdicts_and_every_score_one() -> None:
    """Distribution, missing values, rule; each with a sentence that names the column."""
    found = verdicts(sample(600, np.random.default_rng(1)))
    methods: dict[str, list[str]] = {}
    for one in found:
        methods.setdefault(one.check.column.name, []).append(one.check.method)
        assert re.fullmatch(rf"{one.check.column.name}: .+\.", one.details)
    assert list(methods) == [*NUMBERS, *TEXTS, "score", "outlier_score"]
    assert methods["number0"] == ["ks_w1", "missing_z", "out_of_range"]
    assert methods["text0"] == ["chi2_tv", "missing_z", "new_category"]
    assert methods["score"] == methods["outlier_score"] == ["ks_w1"]


def test_few_records_are_insufficient() -> None:
    """With 499 records nothing is judged, however far it moved, and no statistic is shown."""
    columns = sample(499, np.random.default_rng(2))
    columns["number0"] = columns["number0"] + 1000
    found = verdicts(columns)
    assert {v.status for v in found} == {"insufficient_data"}
    assert all(v.check.effect is None and v.check.p_value is None for v in found)
    assert summarize(found, False) == Summary("insufficient_data", (), (), None, None)


def test_a_damaged_file_is_an_error_unless_there_is_drift() -> None:
    """A window that could only be read in part is never ok."""
    unchanged = verdicts(sample(1000, np.random.default_rng(4)))
    assert [summarize(unchanged, damaged).status for damaged in (False, True)] == ["ok", "error"]
    assert summarize([], True).status == "error"


def broken(name: str, values: Any) -> list[Verdict]:
    """The verdicts of one column replaced; all others stay ok."""
    columns = {n: v for n, v in sample(1000, np.random.default_rng(8)).items() if n != name}
    found = verdicts(table_of(columns | ({} if values is None else {name: values})))
    assert {v.status for v in found if v.check.column.name != name} == {"ok"}
    return [v for v in found if v.check.column.name == name]


@pytest.mark.parametrize(
    ("name", "values", "statuses"),
    [
        pytest.param("number0", np.full(1000, np.nan),
                     ["insufficient_data", "drift", "insufficient_data"], id="all null"),
        pytest.param("text0", np.full(1000, None), ["insufficient_data", "drift",
                     "insufficient_data"], id="all null text"),
        pytest.param("number0", np.full(1000, 40.0), ["drift", "ok", "ok"], id="one value"),
        pytest.param("number0", np.full(1000, np.inf), ["error", "ok", "drift"], id="infinite"),
        pytest.param("number0", np.full(1000, 1.7e308), ["error", "ok", "drift"], id="overflow"),
        pytest.param("number0", None, ["error"] * 3, id="absent"),
        pytest.param("number0", np.full(1000, "12"), ["error"] * 3, id="text for number"),
        pytest.param("text0", np.zeros(1000), ["error"] * 3, id="number for text"),
    ],
)  # fmt: skip
def test_a_broken_column_has_its_own_verdicts(name: str, values: Any, statuses: list[str]) -> None:
    """Whatever a column holds, it is judged or reported, and the others are judged as always."""
    assert [v.status for v in broken(name, values)] == statuses


def test_a_column_the_reference_lacks_is_an_error() -> None:
    """A reference without a single value of a column cannot judge it."""
    columns = sample(1470, np.random.default_rng(9)) | {"number0": np.full(1470, np.nan)}
    reference = reference_from(columns, POLICY)
    window = entries_from(reference, sample(1000, np.random.default_rng(10)))
    found = judge(reference, window, POLICY)
    assert {v.status for v in found if v.check.column.name == "number0"} == {"error"}
    assert {v.status for v in found if v.check.column.name != "number0"} == {"ok"}


def test_a_constant_reference_is_compared_by_the_share_that_differs() -> None:
    """There is no standard deviation to measure with; the rule speaks from two percent on."""
    columns = sample(1470, np.random.default_rng(9)) | {"number0": np.full(1470, 3.0)}
    reference = reference_from(columns, POLICY)
    found = {}
    for share in (0.0, 0.03, 0.3):
        window = sample(1000, np.random.default_rng(10))
        window["number0"] = np.where(np.arange(1000) < share * 1000, 4.0, 3.0)
        checks = judge(reference, entries_from(reference, window), POLICY)
        found[share] = [v.status for v in checks if v.check.column.name == "number0"]
        assert verdict(checks, "number0", "ks_w1").check.effect == pytest.approx(share)
    assert found == {0.0: ["ok"] * 3, 0.03: ["ok", "ok", "drift"], 0.3: ["drift", "ok", "drift"]}


def test_booleans_and_times_are_judged() -> None:
    """A boolean is a category, a date-time a number of seconds."""
    rng = np.random.default_rng(12)

    def columns(days: int, share: float) -> Columns:
        hours = rng.integers(0, 24 * 30, 1000) + days * 24
        when = np.datetime64("2026-03-01T00", "ns") + hours.astype("timedelta64[h]")
        return {"flag": rng.random(1000) < share, "when": when, "score": rng.random(1000)}

    reference = reference_from(columns(0, 0.5), POLICY)
    same = judge(reference, entries_from(reference, columns(0, 0.5)), POLICY)
    other = judge(reference, entries_from(reference, columns(10, 0.8)), POLICY)
    assert summarize(same, False).drifted == ()
    assert summarize(other, False).drifted == ("flag", "when")


def test_too_many_categories_know_no_new_ones() -> None:
    """Beyond 2,048 categories a value cannot be called new; the distribution is still tested."""
    rng = np.random.default_rng(13)
    columns: Columns = {"text": rng.integers(0, 10**6, 3000).astype(str), "score": rng.random(3000)}
    reference = reference_from(columns, POLICY)
    found = judge(reference, entries_from(reference, columns), POLICY)
    assert [v.check.method for v in found] == ["chi2_tv", "missing_z", "ks_w1"]
    assert {v.status for v in found} == {"ok"}


def test_details_carry_no_value_of_a_record() -> None:
    """New categories and out-of-range numbers are counted, never shown."""
    columns = sample(1000, np.random.default_rng(14))
    columns["text5"] = columns["text5"].astype(object)
    columns["text5"][:100] = "a secret value"
    columns["number0"][:100] = 987654321.0
    text = " ".join(v.details for v in verdicts(columns))
    assert "secret" not in text
    assert "value 0" not in text
    assert "987654" not in text


FLOATS = arrays(
    np.float64,
    st.integers(1, 40),
    elements=st.floats(allow_nan=True, allow_infinity=True, width=64),
)


@settings(deadline=None, max_examples=40)
@given(FLOATS, FLOATS)
def test_no_numbers_raise(before: NDArray[Any], now: NDArray[Any]) -> None:
    """Any column of floats gives verdicts with finite statistics or none."""
    reference = reference_from({"x": np.resize(before, 600), "score": np.ones(600)}, POLICY)
    window = {"x": np.resize(now, 600), "score": np.ones(600)}
    for one in judge(reference, entries_from(reference, window), POLICY):
        for value in (one.check.effect, one.check.p_value, one.p_value_adjusted):
            assert value is None or np.isfinite(value)
