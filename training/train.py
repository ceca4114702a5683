"""The search for the classifier: two model families, one small grid each, the same five folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from training.calibration import Calibration, measure
from training.data import CLASSES, NUMERIC_FEATURES, TEXT_FEATURES, Employees
from training.progress import say

if TYPE_CHECKING:
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import Pipeline

POSITIVE = CLASSES[1]
FOLDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """A pipeline not yet fitted, and the values to try for some of its parameters."""

    name: str
    pipeline: "Pipeline"
    grid: Mapping[str, Sequence[object]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One setting of one family, with means over the folds' held-out records."""

    family: str
    params: Mapping[str, object]
    roc_auc: float
    roc_auc_std: float
    brier_score: float
    fit_seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """The winner, fitted on all rows, and what the search saw.

    `pipeline.predict_proba` takes the columns `FEATURES` and returns float64 of shape (n, 2) in
    the order of `CLASSES`. `candidates` are best first, so `candidates[0]` is the winner.
    `roc_auc` and `calibration` are its figures over all out-of-fold predictions together. They
    come from the folds it was chosen on, so they are slightly optimistic.
    """

    pipeline: "Pipeline"
    candidates: tuple[Candidate, ...]
    roc_auc: float
    calibration: Calibration


def families(seed: int) -> tuple[Family, ...]:
    """What is searched. Every pipeline takes columns by name and can be compiled by skl2onnx."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    def pipeline(numbers: Any, model: Any) -> Pipeline:
        # A category never seen in training becomes all zeros instead of an error.
        texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        # Numbers first: skl2onnx takes the type of the whole matrix from the first block, and texts
        # become float32, in which a score would depend on the batch size.
        columns = [("number", numbers, NUMERIC_FEATURES), ("text", texts, TEXT_FEATURES)]
        return Pipeline([("columns", ColumnTransformer(columns)), ("model", model)])

    return (
        Family(
            "logistic_regression",
            pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
            {"model__C": [0.03, 0.1, 0.2, 0.3, 1.0]},
        ),
        Family(
            "random_forest",
            pipeline("passthrough", RandomForestClassifier(n_jobs=1, random_state=seed)),
            {"model__min_samples_leaf": [1, 3, 5]},
        ),
    )


def train(employees: Employees, seed: int) -> Trained:
    """Search all families, refit the one with the highest mean ROC AUC on all rows.

    Takes about five seconds for 1,470 rows on the one core it uses.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    # More threads gain nothing on a table this small, and on a busy machine they wait for each
    # other; one thread also sums in the same order everywhere.
    with threadpool_limits(limits=1):
        return _train(employees, seed)


def _train(employees: Employees, seed: int) -> Trained:
    from sklearn.base import clone
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    searched = {family.name: family for family in families(seed)}
    found: list[Candidate] = []
    for family in searched.values():
        say(f"searching {family.name}")
        found += _search(family, employees, folds)
    candidates = tuple(sorted(found, key=lambda c: c.roc_auc, reverse=True))
    best = candidates[0]

    pipeline = clone(searched[best.family].pipeline).set_params(**best.params)
    inputs, labels = employees.inputs, employees.labels
    probability = cross_val_predict(pipeline, inputs, labels, cv=folds, method="predict_proba")
    positive = (labels == POSITIVE).to_numpy(dtype=np.bool_)
    calibration = measure(positive, probability[:, 1])
    roc_auc = float(roc_auc_score(positive, probability[:, 1]))
    say(
        "winner",
        family=best.family,
        **best.params,
        roc_auc=roc_auc,
        brier_score=calibration.brier_score,
        expected_calibration_error=calibration.expected_calibration_error,
    )
    return Trained(pipeline.fit(inputs, labels), candidates, roc_auc, calibration)


def _search(family: Family, employees: Employees, folds: "StratifiedKFold") -> list[Candidate]:
    from sklearn.metrics import brier_score_loss, make_scorer
    from sklearn.model_selection import GridSearchCV

    brier = make_scorer(
        brier_score_loss,
        response_method="predict_proba",
        greater_is_better=False,
        pos_label=POSITIVE,
    )
    search = GridSearchCV(
        family.pipeline,
        family.grid,
        scoring={"roc_auc": "roc_auc", "brier": brier},
        cv=folds,
        refit=False,
        n_jobs=1,
        error_score="raise",
    )
    results = search.fit(employees.inputs, employees.labels).cv_results_
    found = [
        Candidate(
            family=family.name,
            params=params,
            roc_auc=float(results["mean_test_roc_auc"][i]),
            roc_auc_std=float(results["std_test_roc_auc"][i]),
            brier_score=-float(results["mean_test_brier"][i]),
            fit_seconds=float(results["mean_fit_time"][i]),
        )
        for i, params in enumerate(results["params"])
    ]
    say(
        f"searched {family.name}",
        candidates=len(found),
        best_roc_auc=max(c.roc_auc for c in found),
        seconds=round(FOLDS * float(sum(results["mean_fit_time"] + results["mean_score_time"])), 1),
    )
    return found
