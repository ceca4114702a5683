"""Reasons of models that take nulls: a null is a value of its feature like any other."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from bundling.native import native_model
from bundling.reasons.choice import choose_reasons
from bundling.reasons.encoded import Served
from scoring.explainers import open_reasons
from scoring.schema import Schema
from scoring.validation import validate_rows
from tests.support.explained import EstimatorBackend, output_of

SCHEMA = Schema.from_signature(
    [
        {"name": "x", "type": "double", "required": False},
        {"name": "k", "type": "long", "required": False},
        {"name": "t", "type": "string", "required": False},
    ]
)


def frame() -> pd.DataFrame:
    """Every column with nulls, in pandas' own form."""
    rng = np.random.default_rng(0)
    numbers = {"x": rng.normal(size=210), "k": rng.integers(0, 9, 210).astype(np.float64)}
    table = pd.DataFrame({**numbers, "t": rng.choice(["a", "b"], 210)})
    for step, name in ((5, "x"), (7, "k"), (6, "t")):
        table.loc[::step, name] = None
    return table


@pytest.mark.parametrize(
    ("numbers", "final", "method", "groups"),
    [
        (SimpleImputer(add_indicator=True), Ridge(), "linear", [0, 1, 0, 1, 2, 2, 2]),
        ("passthrough", HistGradientBoostingRegressor(max_iter=10), "tree", [0, 1, 2, 2, 2]),
    ],
)
def test_nulls_are_explained(
    numbers: Any, final: Any, method: str, groups: list[int], tmp_path: Path
) -> None:
    """Through imputation and indicators, a category of their own, and trees that take NaN."""
    table = frame()
    texts = OneHotEncoder(sparse_output=False, handle_unknown="ignore")
    encoder = make_column_transformer((numbers, ["x", "k"]), (texts, ["t"]))
    target = table["x"].fillna(2.0) + table["t"].isna() + table["k"].fillna(-4.0) / 5
    model = make_pipeline(encoder, final).fit(table, target)
    rows = [
        {"x": None if x != x else x, "k": None if k != k else int(k), "t": None if t != t else t}
        for x, k, t in table.itertuples(index=False)
    ]
    batch = validate_rows(SCHEMA, rows, list(range(len(rows)))).batch
    backend = EstimatorBackend(model, ("prediction",), SCHEMA)
    served = Served(SCHEMA, output_of(("prediction",), None), backend, 32)
    spec = choose_reasons(native_model(model), served, batch, batch, tmp_path)
    assert (spec.method, spec.groups) == (method, groups), spec.detail
    explainer, _ = open_reasons(tmp_path, spec, SCHEMA, backend, 32)
    assert explainer is not None
    found = explainer.explain(batch)
    sums = found.base + found.contributions.sum(axis=1)
    assert sums == pytest.approx(model.predict(table), abs=1e-9)
