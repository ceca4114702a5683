"""Boosted trees of the zoo, from three libraries."""

from typing import Any

import numpy as np

from tests.support.zoo import Rows, ZooModel, as_rows, log_sklearn, signature

XGBOOST = ("xgboost.core.Booster", "xgboost.sklearn.XGBClassifier")
KINDS = {"wind": "double", "heat": "double", "hours": "long"}


def models() -> list[ZooModel]:
    """scikit-learn's two, XGBoost alone and in a Pipeline, LightGBM."""
    both = {"False": "double", "True": "double"}
    return [
        ZooModel("turbines", register_turbines, gappy_rows, "onnx", both),
        ZooModel("output", register_output, turbine_rows, "onnx", {"prediction": "double"}),
        ZooModel("faults", register_faults, gappy_rows, "onnx", {"prediction": "long"}),
        ZooModel(
            "sites",
            register_sites,
            site_rows,
            "onnx",
            {"score": "double", "label": "string"},
            {"positive_label": "1", "trusted_types": list(XGBOOST)},
        ),
        ZooModel("energy", register_energy, gappy_rows, "onnx", {"prediction": "double"}),
    ]


def _turbines(count: int, seed: int, gaps: bool = False) -> Any:
    import pandas as pd

    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "wind": rng.weibull(2.0, count) * 8,
            "heat": rng.normal(50.0, 12.0, count),
            "hours": rng.integers(0, 20_000, count),
        }
    )
    if gaps:
        frame.loc[frame.index % 3 == 0, "heat"] = np.nan
        frame.loc[frame.index % 7 == 0, "wind"] = np.nan
    return frame


def turbine_rows(count: int) -> Rows:
    """Complete records."""
    return as_rows(_turbines(count, 21), count)


def gappy_rows(count: int) -> Rows:
    """Records with nulls in both optional columns."""
    return as_rows(_turbines(count, 22, gaps=True), count)


def register_turbines() -> None:
    """Histogram boosting that knows missing numbers."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    frame = _turbines(300, 23, gaps=True)
    hot = (frame["heat"].fillna(70) > 60) & (frame["hours"] > 3000)
    model = HistGradientBoostingClassifier(max_iter=40, random_state=0).fit(frame, hot)
    log_sklearn(
        "turbines",
        model,
        frame,
        pyfunc_predict_fn="predict_proba",
        signature=signature(KINDS, optional=["wind", "heat"]),
    )


def register_output() -> None:
    """Gradient boosting for a value."""
    from sklearn.ensemble import GradientBoostingRegressor

    frame = _turbines(250, 24)
    model = GradientBoostingRegressor(n_estimators=60, random_state=0)
    model.fit(frame, np.minimum(frame["wind"], 12) ** 3)
    log_sklearn("output", model, frame)


def register_faults() -> None:
    """XGBoost's classifier with its own flavor: it returns labels."""
    import mlflow
    from xgboost import XGBClassifier

    frame = _turbines(300, 25, gaps=True)
    model = XGBClassifier(n_estimators=30, max_depth=3, n_jobs=1, random_state=0)
    model.fit(frame, np.digitize(frame["hours"] + 100 * frame["heat"].fillna(0), [8_000, 16_000]))
    with mlflow.start_run():
        mlflow.xgboost.log_model(
            model,
            name="model",
            signature=signature(KINDS, optional=["wind", "heat"]),
            input_example=frame.head(5),
            registered_model_name="faults",
            pip_requirements=["xgboost"],
        )


def _sites(count: int, seed: int) -> Any:
    frame = _turbines(count, seed)
    rng = np.random.default_rng(seed)
    return frame.assign(
        region=rng.choice(["north", "south", "west"], count), offshore=rng.random(count) < 0.3
    )


def register_sites() -> None:
    """XGBoost in a Pipeline behind sparse codes, whose zeros it takes for missing values."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder
    from xgboost import XGBClassifier

    frame = _sites(300, 26)
    codes = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer(
        [("text", codes, ["region", "offshore"])], remainder="passthrough", sparse_threshold=1.0
    )
    model = make_pipeline(columns, XGBClassifier(n_estimators=25, max_depth=3, n_jobs=1))
    model.fit(frame, ((frame["wind"] > 7) ^ (frame["region"] == "north")).astype(int))
    log_sklearn("sites", model, frame, XGBOOST, pyfunc_predict_fn="predict_proba")


def site_rows(count: int) -> Rows:
    """Every sixth in a region never seen."""
    rows = as_rows(_sites(count, 27), count)
    return [{**row, "region": "east"} if i % 6 == 0 else row for i, row in enumerate(rows)]


def register_energy() -> None:
    """A LightGBM booster for a value."""
    import lightgbm
    import mlflow

    frame = _turbines(300, 28, gaps=True)
    data = lightgbm.Dataset(frame, np.sqrt(frame["hours"]) + frame["wind"].fillna(3) ** 2)
    settings = {"objective": "regression", "verbose": -1, "num_threads": 1, "seed": 0}
    model = lightgbm.train(settings, data, 40)
    with mlflow.start_run():
        mlflow.lightgbm.log_model(
            model,
            name="model",
            signature=signature(KINDS, optional=["wind", "heat"]),
            input_example=frame.head(5),
            registered_model_name="energy",
            pip_requirements=["lightgbm"],
        )
