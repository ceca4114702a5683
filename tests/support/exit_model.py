"""The source of a model that ends the process: MLflow loads this file, tests do not import it."""

import sys
import warnings
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import set_model


class Exit(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Calls sys.exit on a negative x, and warns of every value."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:  # noqa: ARG002
        """`x` as it is."""
        warnings.warn(f"seen {model_input['x'].tolist()}", stacklevel=1)
        if (model_input["x"] < 0).any():
            sys.exit(3)
        return model_input["x"].to_numpy()


set_model(Exit())
