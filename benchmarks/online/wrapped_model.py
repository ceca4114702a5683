"""The source of the model `uncompiled`: MLflow loads this file, nothing imports it."""

from typing import Any

import mlflow
import pandas as pd
from mlflow.models import set_model


class WrappedPipeline(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Code of one's own around a fitted pipeline: what keeps most models from being compiled."""

    def load_context(self, context: Any) -> None:
        """Load the pipeline that was logged beside this file."""
        self._pipeline = mlflow.sklearn.load_model(context.artifacts["pipeline"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:  # noqa: ARG002
        """The probability of each class, shape (n, 2)."""
        return self._pipeline.predict_proba(model_input)


set_model(WrappedPipeline())
