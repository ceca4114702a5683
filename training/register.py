"""One registered model version that holds everything a lane and the monitoring need.

Its artifact tree is the MLflow model, and beside it

    trilane/outlier/                       the detector, an MLflow scikit-learn model
    trilane/outlier/outlier.json           {"features": [...], "offset": float, "share": float}
    trilane/reference/reference.parquet    the training inputs in signature order
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from training.calibration import reliability_plot
from training.data import CLASSES, FEATURES, NUMERIC_FEATURES, TEXT_FEATURES, Employees
from training.progress import say
from training.tracking import Target
from training.train import Trained

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from sklearn.ensemble import IsolationForest

CHAMPION = "champion"
EXAMPLE_ROWS = 3

# Types of scikit-learn's own that skops does not load unasked: the trees of both forests.
# A lane with a compiled bundle never loads them.
TRUSTED_TYPES = ["sklearn.tree._tree.Tree"]


@dataclass(frozen=True, slots=True)
class Registered:
    """The model version that was made, and the run it comes from."""

    name: str
    version: str
    run_id: str


def register(
    target: Target,
    experiment_id: str,
    employees: Employees,
    trained: Trained,
    detector: "IsolationForest",
    tags: dict[str, str],
) -> Registered:
    """Log the run, then a model with all its files, then register it and move the alias.

    Needs `training.tracking.opened`; MLflow's exceptions pass through. Every call makes a new
    version. A call that fails leaves the alias where it was.
    """
    import mlflow

    with mlflow.start_run(experiment_id=experiment_id, tags=tags) as run:
        _log_search(experiment_id, trained)
        say("logged the search", run_id=run.info.run_id)
        model_id = _log_model(employees, trained, detector)
        say("logged the model", model_id=model_id)
    made = mlflow.register_model(f"models:/{model_id}", target.model_name)
    mlflow.MlflowClient().set_registered_model_alias(target.model_name, CHAMPION, made.version)
    say("registered", model=made.name, version=str(made.version), alias=CHAMPION)
    return Registered(str(made.name), str(made.version), run.info.run_id)


def signature() -> "ModelSignature":
    """Inputs: `FEATURES`, all required. Output: float64 (n, 2), probabilities of `CLASSES`."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    outputs = Schema([TensorSpec(np.dtype(np.float64), (-1, len(CLASSES)))])
    return ModelSignature(inputs=_columns(FEATURES), outputs=outputs)


def _columns(names: Sequence[str]) -> Any:
    from mlflow.types import ColSpec, DataType, Schema

    kinds = {name: DataType.string if name in TEXT_FEATURES else DataType.long for name in names}
    return Schema([ColSpec(kind, name, required=True) for name, kind in kinds.items()])


def _log_search(experiment_id: str, trained: Trained) -> None:
    import mlflow

    best = trained.candidates[0]
    mlflow.log_params({"family": best.family, **best.params})
    mlflow.log_metrics(
        {
            "roc_auc": trained.roc_auc,
            "roc_auc_fold_mean": best.roc_auc,
            "roc_auc_fold_std": best.roc_auc_std,
            "brier_score": trained.calibration.brier_score,
            "expected_calibration_error": trained.calibration.expected_calibration_error,
        }
    )
    mlflow.log_dict({"bins": trained.calibration.as_table()}, "calibration.json")
    mlflow.log_figure(reliability_plot(trained.calibration), "reliability.png")
    for candidate in trained.candidates:
        with mlflow.start_run(experiment_id=experiment_id, run_name=candidate.family, nested=True):
            figures = asdict(candidate)
            params = figures.pop("params")
            mlflow.log_params({"family": figures.pop("family"), **params})
            mlflow.log_metrics(figures)


def _log_model(employees: Employees, trained: Trained, detector: "IsolationForest") -> str:
    import mlflow

    # MLflow marks the model ready when `log_model` returns, so the other files go in before it.
    model_id = str(mlflow.initialize_logged_model(name="model").model_id)
    with TemporaryDirectory() as scratch:
        _write_outlier(detector, Path(scratch, "trilane", "outlier"))
        _write_reference(employees, Path(scratch, "trilane", "reference"))
        mlflow.MlflowClient().log_model_artifacts(model_id, scratch)
    mlflow.sklearn.log_model(
        trained.pipeline,
        model_id=model_id,
        signature=signature(),
        input_example=employees.inputs.head(EXAMPLE_ROWS),
        pyfunc_predict_fn="predict_proba",
        metadata={"classes": [str(name) for name in trained.pipeline.classes_]},
        # On Databricks the default would be a pickle.
        serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
        skops_trusted_types=TRUSTED_TYPES,
        pip_requirements=_requirements(),
    )
    return model_id


def _write_outlier(detector: "IsolationForest", directory: Path) -> None:
    import mlflow
    from mlflow.models import ModelSignature

    mlflow.sklearn.save_model(
        detector,
        directory,
        signature=ModelSignature(inputs=_columns(NUMERIC_FEATURES)),
        serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
        skops_trusted_types=TRUSTED_TYPES,
        pip_requirements=_requirements(),
    )
    facts = {
        "features": NUMERIC_FEATURES,
        "offset": float(detector.offset_),
        "share": float(detector.contamination),
    }
    (directory / "outlier.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _write_reference(employees: Employees, directory: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {name: pa.string() if name in TEXT_FEATURES else pa.int64() for name in FEATURES}
    table = pa.Table.from_pandas(
        employees.inputs, schema=pa.schema(types.items()), preserve_index=False
    )
    directory.mkdir(parents=True)
    pq.write_table(table.replace_schema_metadata(None), directory / "reference.parquet")


def _requirements() -> list[str]:
    # Stated, because finding them out means loading the model in another process.
    packages = ("mlflow", "numpy", "pandas", "scikit-learn", "skops")
    return [f"{package}=={version(package)}" for package in packages]
