"""The source of the model `grades`: MLflow loads this file, it is not imported by the tests."""

from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import set_model


class Grades(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Points from a score, with a school's own curve; and a grade from the points."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:  # noqa: ARG002
        """A DataFrame with the columns grade and points."""
        curve = np.where(model_input["school"] == "north", 1.01, 0.99)
        bonus = model_input["bonus"].fillna(0.0)
        points = np.tanh(model_input["score"] / 50.0) * 100 * curve + bonus
        points = points - 5.0 * model_input["resit"]
        grade = np.where(points > 80, "A", np.where(points > 60, "B", "C"))
        return pd.DataFrame({"grade": grade, "points": points})


set_model(Grades())
