"""Models of the zoo whose pipelines encode text and fill in what is missing."""

from typing import Any

import numpy as np

from tests.support.zoo import Rows, ZooModel, as_rows, log_sklearn, signature


def models() -> list[ZooModel]:
    """Linear models, a forest and extra trees behind encoders and imputers."""
    return [
        ZooModel(
            "churn",
            register_churn,
            churn_rows,
            "onnx",
            {"score": "double", "label": "string"},
            {"positive_label": "leaves", "threshold": 0.4},
        ),
        ZooModel("claims", register_claims, claims_rows, "onnx", {"0": "double", "1": "double"}),
        ZooModel("yields", register_yields, yields_rows, "onnx", {"prediction": "double"}),
        ZooModel("rents", register_rents, rents_rows, "onnx", {"prediction": "double"}),
        ZooModel(
            "loans", register_loans, loans_rows, "onnx", {"False": "double", "True": "double"}
        ),
    ]


def _columns(*parts: tuple[str, Any, list[str]]) -> Any:
    from sklearn.compose import ColumnTransformer

    return ColumnTransformer(list(parts))


def _customers(count: int, seed: int) -> Any:
    import pandas as pd

    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "plan": rng.choice(["basic", "plus", "pro"], count),
            "months": rng.integers(0, 72, count),
            "usage": rng.gamma(2.0, 10.0, count),
            "country": rng.choice(["de", "fr", "it", "pl"], count),
        }
    )


def register_churn() -> None:
    """Logistic regression behind one-hot codes; the text comes first; the labels are words."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = _customers(300, 0)
    leaves = frame["months"] + frame["usage"] < 40
    model = make_pipeline(
        _columns(
            ("text", OneHotEncoder(handle_unknown="ignore"), ["plan", "country"]),
            ("numbers", StandardScaler(), ["months", "usage"]),
        ),
        LogisticRegression(),
    ).fit(frame, np.where(leaves, "leaves", "stays"))
    log_sklearn("churn", model, frame, pyfunc_predict_fn="predict_proba")


def churn_rows(count: int) -> Rows:
    """Every seventh from a country never seen."""
    rows = as_rows(_customers(count, 1), count)
    return [{**row, "country": "xx"} if i % 7 == 0 else row for i, row in enumerate(rows)]


def register_claims() -> None:
    """A forest of 300 trees on numbers and grouped rare categories; labels are whole numbers."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = _customers(200, 2)
    codes = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=60)
    model = make_pipeline(
        _columns(
            ("numbers", "passthrough", ["months", "usage"]),
            ("text", codes, ["plan", "country"]),
        ),
        RandomForestClassifier(300, max_depth=5, random_state=0),
    ).fit(frame, (frame["usage"] * (frame["plan"] == "pro") > 15).astype(int))
    log_sklearn("claims", model, frame, pyfunc_predict_fn="predict_proba")


claims_rows = churn_rows


def _fields(count: int, seed: int) -> Any:
    import pandas as pd

    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "soil": rng.choice(["clay", "loam", "sand"], count),
            "rain": rng.gamma(9.0, 60.0, count),
            "year": rng.integers(1990, 2026, count),
        }
    )


def register_yields() -> None:
    """Extra trees behind ordinal codes; a soil never seen is -1."""
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    frame = _fields(250, 3)
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    model = make_pipeline(
        _columns(("soil", codes, ["soil"]), ("rest", "passthrough", ["rain", "year"])),
        ExtraTreesRegressor(40, random_state=0),
    ).fit(frame, frame["rain"] / 100 + 2 * (frame["soil"] == "loam"))
    log_sklearn("yields", model, frame)


def yields_rows(count: int) -> Rows:
    """Every fifth on peat, which was never seen."""
    rows = as_rows(_fields(count, 4), count)
    return [{**row, "soil": "peat"} if i % 5 == 0 else row for i, row in enumerate(rows)]


def register_rents() -> None:
    """Ridge regression behind target codes."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler, TargetEncoder

    frame = _fields(250, 5).rename(columns={"soil": "district", "rain": "area"})
    np.random.seed(0)  # the encoder shuffles by the global state
    model = make_pipeline(
        _columns(
            ("district", TargetEncoder(), ["district"]),
            ("rest", StandardScaler(), ["area", "year"]),
        ),
        Ridge(),
    ).fit(frame, 3 * frame["area"] + 200 * (frame["district"] == "clay"))
    log_sklearn("rents", model, frame)


def rents_rows(count: int) -> Rows:
    """Every fifth in a district never seen."""
    names = {"soil": "district", "rain": "area"}
    return [{names.get(k, k): v for k, v in row.items()} for row in yields_rows(count)]


def _applicants(count: int, seed: int) -> Any:
    frame = _customers(count, seed)
    frame.loc[frame.index % 4 == 0, "usage"] = np.nan
    frame.loc[frame.index % 5 == 0, "plan"] = None
    frame.loc[frame.index % 6 == 0, "country"] = None
    return frame


def register_loans() -> None:
    """Imputers of text and of numbers, with an indicator; three optional columns; true or false."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = _applicants(300, 6)
    fill = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="none"),
        OneHotEncoder(handle_unknown="ignore"),
    )
    common = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    )
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    model = make_pipeline(
        _columns(
            ("plan", fill, ["plan"]),
            ("country", common, ["country"]),
            ("numbers", numbers, ["months", "usage"]),
        ),
        LogisticRegression(),
    ).fit(frame, frame["months"] > 30)
    kinds = {"plan": "string", "months": "long", "usage": "double", "country": "string"}
    log_sklearn(
        "loans",
        model,
        frame,
        pyfunc_predict_fn="predict_proba",
        signature=signature(kinds, optional=["plan", "usage", "country"]),
    )


def loans_rows(count: int) -> Rows:
    """With nulls in every optional column, and the texts that nulls are often mistaken for."""
    rows = as_rows(_applicants(count, 7), count)
    odd = ["", "None", "nan", "\0", "\0\0", "null"]
    return [
        {**row, "country": odd[i // 7 % len(odd)]} if i % 7 == 0 else row
        for i, row in enumerate(rows)
    ]
