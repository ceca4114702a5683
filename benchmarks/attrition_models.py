"""Three classifiers of the shipped example's table, registered and packaged as any model is."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundling.config import ModelEntry, Registry
from bundling.integrity import TRUSTED_TYPES
from bundling.mlflow_door import opened
from bundling.package import package_model
from bundling.place import held
from training.data import CLASSES, NUMERIC_FEATURES, TEXT_FEATURES, load_employees
from training.register import signature

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

SEED = 7


@dataclass(frozen=True, slots=True, eq=False)
class BenchModel:
    """A fitted pipeline, the table it was fitted on, and the bundle made of it."""

    name: str
    pipeline: "Pipeline"
    inputs: "pd.DataFrame"
    bundle: Path


def packaged(directory: Path) -> Iterator[BenchModel]:
    """Fit, register and package the three, one after the other. Takes about ten seconds each."""
    registry = Registry(f"sqlite:///{directory}/mlflow.db")
    employees = load_employees(None)
    for name, pipeline in pipelines().items():
        pipeline.fit(employees.inputs, employees.labels)
        with opened(registry):
            _register(name, pipeline, employees.inputs)
        entry = ModelEntry(name, "champion", version="1", positive_label=CLASSES[1])
        bundle = directory / "bundles" / name
        with held(bundle):
            package_model(entry, registry, bundle, datetime.now(UTC), force=True)
        yield BenchModel(name, pipeline, employees.inputs, bundle)


def pipelines() -> dict[str, "Pipeline"]:
    """Not yet fitted."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    def pipeline(numbers: Any, model: Any) -> Pipeline:
        texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        columns = [("number", numbers, NUMERIC_FEATURES), ("text", texts, TEXT_FEATURES)]
        return Pipeline([("columns", ColumnTransformer(columns)), ("model", model)])

    return {
        "logistic_regression": pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "forest_of_300": pipeline(
            "passthrough", RandomForestClassifier(300, random_state=SEED, n_jobs=1)
        ),
        "histogram_boosting": pipeline(
            "passthrough", HistGradientBoostingClassifier(random_state=SEED)
        ),
    }


def _register(name: str, pipeline: "Pipeline", inputs: "pd.DataFrame") -> None:
    import mlflow

    with mlflow.start_run():
        mlflow.sklearn.log_model(
            pipeline,
            name="model",
            signature=signature(),
            input_example=inputs.head(200),
            pyfunc_predict_fn="predict_proba",
            registered_model_name=name,
            serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
            skops_trusted_types=sorted(TRUSTED_TYPES),
            pip_requirements=["scikit-learn"],
        )
