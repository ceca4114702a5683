"""Models of the zoo that are Python code, logged from their source files."""

from pathlib import Path

import numpy as np

from tests.support.bundles import grades_rows
from tests.support.foreign_models import register_grades
from tests.support.zoo import Rows, ZooModel, signature


def models() -> list[ZooModel]:
    """One that returns a DataFrame, one that returns a dict of arrays."""
    return [
        ZooModel(
            "grades", register_grades, _grades, "pyfunc", {"grade": "string", "points": "double"}
        ),
        ZooModel(
            "shipments",
            register_shipments,
            shipment_rows,
            "pyfunc",
            {"days": "double", "late": "boolean", "lane": "string", "stops": "long"},
        ),
    ]


def _grades(count: int) -> Rows:
    return [{k: v for k, v in row.items() if k != "id"} for row in grades_rows(count)]


def register_shipments() -> None:
    """A model of booleans and dates whose source is tests/support/shipments_model.py."""
    import mlflow
    import pandas as pd

    kinds = {"sent": "datetime", "express": "boolean", "kilograms": "double", "port": "string"}
    example = {
        "sent": pd.to_datetime(["2026-03-02T10:00:00", "2026-03-07T18:30:00"]),
        "express": [True, False],
        "kilograms": [12.5, None],
        "port": ["Oslo", "Gdansk"],
    }
    with mlflow.start_run():
        mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("shipments_model.py")),
            signature=signature(kinds, optional=["kilograms"]),
            input_example=pd.DataFrame(example),
            registered_model_name="shipments",
            pip_requirements=["pandas"],
        )


def shipment_rows(count: int) -> Rows:
    """Every fourth of unknown weight."""
    rng = np.random.default_rng(31)
    return [
        {
            "sent": f"2026-0{1 + i % 9}-1{i % 10}T{i % 24:02}:15:00",
            "express": bool(rng.integers(0, 2)),
            "kilograms": None if i % 4 == 0 else float(rng.gamma(2.0, 10.0)),
            "port": str(rng.choice(["Oslo", "Gdansk", "Genoa"])),
        }
        for i in range(count)
    ]
