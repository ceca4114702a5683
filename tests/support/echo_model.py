"""The source of a model that tells what it saw: MLflow loads this file, tests do not import it."""

from typing import Any

import mlflow
import pandas as pd
from mlflow.models import set_model


class Echo(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Gives back, for each record, the dtype and the value of every column it was handed."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:  # noqa: ARG002
        """One text per record."""
        columns = [
            [f"{name} {series.dtype} {value!r}" for value in series.tolist()]
            for name, series in model_input.items()
        ]
        return ["; ".join(cells) for cells in zip(*columns, strict=True)]


set_model(Echo())
