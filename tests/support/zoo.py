"""Registered models of unlike kinds, logged as people log them who never heard of trilane.

Run `python -m tests.support.zoo TRACKING_URI [NAME ...]`, or this file by its path, to register
all or some of them.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from bundling.config import Registry
from bundling.mlflow_door import opened

Rows = list[dict[str, Any]]

_TRUSTED: Final = (
    "numpy.dtype",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)
"""Types of scikit-learn and NumPy that MLflow wants named before it logs them with skops."""


@dataclass(frozen=True, slots=True)
class ZooModel:
    """One kind of model.

    `register` fits and logs it; `rows` gives plain records it can score, with nulls and unseen
    categories where it takes them. `backend` and `outputs` (name to type, in order) are what its
    bundle will have, `entry` what models.json needs to say besides name, version and role.
    """

    name: str
    register: Callable[[], None]
    rows: Callable[[int], Rows]
    backend: Literal["onnx", "pyfunc"]
    outputs: Mapping[str, str]
    entry: Mapping[str, Any] = field(default_factory=dict)


def zoo() -> dict[str, ZooModel]:
    """All of them, by name."""
    from tests.support import zoo_boosting, zoo_encoders, zoo_plain, zoo_python

    parts = (zoo_encoders, zoo_plain, zoo_boosting, zoo_python)
    return {model.name: model for part in parts for model in part.models()}


def register(tracking_uri: str, names: Sequence[str] = ()) -> None:
    """Register the models of these names, or all, as the next version of each."""
    models = zoo()
    with opened(Registry(tracking_uri)):
        for name in names or models:
            models[name].register()


def log_sklearn(
    name: str, model: Any, frame: Any, trusted: Sequence[str] = (), **more: Any
) -> None:
    """Log and register a scikit-learn model; `more` goes to MLflow as it is."""
    import mlflow
    from mlflow.models import infer_signature

    predict = getattr(model, more.get("pyfunc_predict_fn", "predict"))
    more.setdefault("signature", infer_signature(frame, predict(frame)))
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            model,
            name="model",
            input_example=frame.head(5),
            registered_model_name=name,
            serialization_format="skops",
            skops_trusted_types=[*_TRUSTED, *trusted],
            pip_requirements=["scikit-learn"],
            **more,
        )


def signature(columns: Mapping[str, str], optional: Sequence[str] = ()) -> Any:
    """An MLflow signature of inputs only: type by column, some of them optional."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    specs = [ColSpec(kind, name, required=name not in optional) for name, kind in columns.items()]
    return ModelSignature(inputs=Schema(specs))


def as_rows(frame: Any, count: int) -> Rows:
    """The first records of a DataFrame as plain Python values, null for what is missing."""
    cells = frame.head(count).astype(object)
    rows: Rows = cells.where(frame.head(count).notna(), None).to_dict("records")
    return rows


if __name__ == "__main__":
    # Run by its path in some other directory, this file finds its siblings all the same.
    sys.path.insert(0, str(Path(__file__).parents[2]))
    register(sys.argv[1], sys.argv[2:])
