"""A workforce that has changed since training, for showing what monitoring makes of it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

SHIFTED_FEATURES = ("JobRole", "MonthlyIncome", "OverTime")
"""The features `shifted` changes, sorted."""

_DEPARTMENT = "Sales"
_INCOME_FACTOR = 12  # a yearly income where a monthly one is expected
_OLD_ROLE, _NEW_ROLE = "Research Scientist", "AI Engineer"


def shifted(frame: "pd.DataFrame") -> "pd.DataFrame":
    """A copy of the public table with three changes, all else equal.

    Every second employee who worked no overtime now does; one department reports yearly incomes;
    half of one role's holders have a role that training never saw.
    """
    changed = frame.copy()
    rested = changed.index[changed["OverTime"] == "No"]
    changed.loc[rested[::2], "OverTime"] = "Yes"
    sales = changed["Department"] == _DEPARTMENT
    changed.loc[sales, "MonthlyIncome"] *= _INCOME_FACTOR
    holders = changed.index[changed["JobRole"] == _OLD_ROLE]
    changed.loc[holders[::2], "JobRole"] = _NEW_ROLE
    return changed
