"""The source of a model that must be called by one thread at a time: MLflow loads this file."""

import threading
import time
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import set_model

_CALLED = threading.Lock()


class Alone(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Doubles `x`; fails when it is called while it computes."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:  # noqa: ARG002
        """One number per record."""
        if not _CALLED.acquire(blocking=False):
            raise RuntimeError("called twice at once")
        try:
            time.sleep(0.01)  # so that another call would come
            return model_input["x"] * 2.0
        finally:
            _CALLED.release()


set_model(Alone())
