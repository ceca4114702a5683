"""The source of the model `shipments`: MLflow loads this file, it is not imported by the tests."""

from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import set_model


class Shipments(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """How long a parcel travels, from the day it was sent, its weight and its port."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:  # noqa: ARG002
        """A dict of arrays: floats, booleans, text and whole numbers."""
        weekend = model_input["sent"].dt.dayofweek.to_numpy() >= 5
        express = model_input["express"].to_numpy(dtype=bool)
        weight = model_input["kilograms"].fillna(5.0).to_numpy()
        stops = np.where(model_input["port"].to_numpy() == "Oslo", 1, 3)
        days = 0.5 + 1.5 * weekend + stops * np.where(express, 0.5, 1.25) + np.sqrt(weight) / 10
        return {
            "days": days,
            "late": days > 4.0,
            "lane": np.where(express, "air", "sea"),
            "stops": stops.astype(np.int64),
        }


set_model(Shipments())
