"""Models of the zoo on numbers alone, from scikit-learn."""

from typing import Any

import numpy as np

from tests.support.zoo import Rows, ZooModel, as_rows, log_sklearn, signature


def models() -> list[ZooModel]:
    """Probabilities of three classes, labels, a network, neighbours, and one without a graph."""
    species = {"setosa": "double", "versicolor": "double", "virginica": "double"}
    return [
        ZooModel("species", register_species, flower_rows, "onnx", species),
        ZooModel("ripeness", register_ripeness, flower_rows, "onnx", {"prediction": "string"}),
        ZooModel("blooms", register_blooms, flower_rows, "onnx", {"prediction": "boolean"}),
        ZooModel("height", register_height, flower_rows, "onnx", {"prediction": "double"}),
        ZooModel("dose", register_dose, dose_rows, "pyfunc", {"prediction": "double"}),
    ]


def _flowers(count: int, seed: int) -> Any:
    import pandas as pd

    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "sepal": rng.normal(5.8, 0.8, count),
            "petal": rng.normal(3.7, 1.7, count),
            "days": rng.integers(1, 60, count),
        }
    )


def flower_rows(count: int) -> Rows:
    """Records of flowers."""
    return as_rows(_flowers(count, 11), count)


def register_species() -> None:
    """Multinomial logistic regression that returns the probabilities of three words."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    frame = _flowers(200, 12)
    labels = np.array(["setosa", "versicolor", "virginica"])[np.digitize(frame["petal"], [2.5, 5])]
    model = make_pipeline(MinMaxScaler(), LogisticRegression()).fit(frame, labels)
    log_sklearn("species", model, frame, pyfunc_predict_fn="predict_proba")


def register_ripeness() -> None:
    """A decision tree logged with plain predict: it returns labels."""
    from sklearn.tree import DecisionTreeClassifier

    frame = _flowers(200, 13)
    labels = np.where(frame["days"] > 40, "ripe", np.where(frame["petal"] > 3, "green", "bud"))
    model = DecisionTreeClassifier(max_depth=5, random_state=0).fit(frame, labels)
    log_sklearn("ripeness", model, frame)


def register_blooms() -> None:
    """A linear support vector classifier that returns true or false."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import RobustScaler
    from sklearn.svm import LinearSVC

    frame = _flowers(200, 14)
    model = make_pipeline(RobustScaler(), LinearSVC(random_state=0)).fit(frame, frame["days"] > 20)
    log_sklearn("blooms", model, frame)


def register_height() -> None:
    """A small neural network."""
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame = _flowers(150, 15)
    network = MLPRegressor(
        hidden_layer_sizes=(8,), solver="lbfgs", max_iter=2000, tol=1e-3, random_state=0
    )
    model = make_pipeline(StandardScaler(), network)
    model.fit(frame, np.sin(frame["sepal"]) + frame["days"] / 30)
    log_sklearn("height", model, frame)


def register_dose() -> None:
    """Isotonic regression, which skl2onnx does not know."""
    import pandas as pd
    from sklearn.isotonic import IsotonicRegression

    frame = pd.DataFrame({"weight": np.linspace(3.0, 120.0, 100)})
    model = IsotonicRegression(out_of_bounds="clip").fit(frame, np.sqrt(frame["weight"]))
    log_sklearn("dose", model, frame, signature=signature({"weight": "double"}))


def dose_rows(count: int) -> Rows:
    """Weights, some of them beyond what was seen."""
    return [{"weight": float(w)} for w in np.random.default_rng(16).uniform(1.0, 150.0, count)]
