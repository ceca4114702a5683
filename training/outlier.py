"""The outlier detector that travels with the model: an isolation forest on the numeric features."""

from typing import TYPE_CHECKING

from training.data import NUMERIC_FEATURES, Employees

if TYPE_CHECKING:
    from sklearn.ensemble import IsolationForest

SHARE = 0.015  # of the training rows that the detector flags


def fit_detector(employees: Employees, seed: int) -> "IsolationForest":
    """A detector over `NUMERIC_FEATURES` that flags about `SHARE` of the training rows.

    A row is an outlier when `score_samples` (in (-1, 0), lower is more anomalous) is below
    `offset_` (Liu, Ting and Zhou 2008, as scikit-learn implements it).
    """
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(contamination=SHARE, random_state=seed, n_jobs=1)
    return forest.fit(employees.frame[NUMERIC_FEATURES])
