"""Register two models unlike the shipped one: run this file with a tracking URI.

`fuel`: a scikit-learn regression on numeric columns, integers and floats. `grades`: a PythonModel
from a source file that returns a DataFrame and cannot be compiled.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from bundling.config import Registry
from bundling.mlflow_door import opened


def main(tracking_uri: str) -> None:
    """Register both as version 1."""
    with opened(Registry(tracking_uri)):
        register_fuel()
        register_grades()


def register_fuel() -> None:
    """Gradient boosting on two integers and three floats."""
    import mlflow
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "cylinders": rng.integers(3, 9, 400),
            "year": rng.integers(1990, 2026, 400),
            "weight": rng.normal(1500.0, 300.0, 400),
            "power": rng.normal(110.0, 40.0, 400),
            "drag": rng.uniform(0.2, 0.5, 400),
        }
    )
    target = 0.004 * frame["weight"] + 0.03 * frame["power"] + 8 * frame["drag"]
    model = make_pipeline(StandardScaler(), PolynomialFeatures(2), Ridge(alpha=0.5))
    model.fit(frame, target)
    signature = infer_signature(frame, model.predict(frame))
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=signature,
            input_example=frame.head(3),
            registered_model_name="fuel",
        )


def register_grades() -> None:
    """A model whose source is tests/support/grades_model.py."""
    import mlflow
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = Schema(
        [
            ColSpec("double", "score"),
            ColSpec("boolean", "resit"),
            ColSpec("string", "school"),
            ColSpec("double", "bonus", required=False),
        ]
    )
    outputs = Schema([ColSpec("string", "grade"), ColSpec("double", "points")])
    example: dict[str, Any] = {
        "score": [61.5, 88.0],
        "resit": [False, True],
        "school": ["north", "south"],
        "bonus": [2.0, None],
    }
    source = Path(__file__).with_name("grades_model.py")
    with mlflow.start_run():
        mlflow.pyfunc.log_model(
            name="model",
            python_model=str(source),
            signature=ModelSignature(inputs, outputs),
            input_example=pd.DataFrame(example),
            registered_model_name="grades",
        )


if __name__ == "__main__":
    main(sys.argv[1])
