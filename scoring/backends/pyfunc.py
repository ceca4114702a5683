"""Any MLflow model, through `mlflow.pyfunc`: the only lane code that imports MLflow and pandas."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scoring.errors import BundleError, ModelError
from scoring.records import Column, RecordBatch
from scoring.schema import Schema


class PyfuncBackend:
    """Computes raw columns by calling the registered model. Call it from one thread at a time."""

    def __init__(self, model_directory: Path, schema: Schema, raw: Sequence[str]) -> None:
        """Loads the model; takes seconds. Raises BundleError when MLflow cannot load it."""
        self._model = open_pyfunc(model_directory)
        self._schema = schema
        self._raw = tuple(raw)

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """Raw columns by name; raises ModelError."""
        return raw_columns(call_pyfunc(self._model, self._schema, batch), self._raw, len(batch))


def open_pyfunc(model_directory: Path) -> Any:
    """The loaded `mlflow.pyfunc.PyFuncModel`. Raises BundleError."""
    # One thread, so that sums are always made in the same order; both are read at first import.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        import mlflow.pyfunc
    except ImportError as error:
        raise BundleError(
            "this bundle was not compiled and needs MLflow: install the extra 'pyfunc'"
        ) from error
    try:
        return mlflow.pyfunc.load_model(str(model_directory))
    except Exception as error:  # a model may raise anything while it loads
        raise BundleError(f"MLflow cannot load the model in {model_directory}: {error}") from error


def call_pyfunc(model: Any, schema: Schema, batch: RecordBatch) -> Any:
    """What `predict` returns for the batch. Raises ModelError without the model's own words, which
    may quote the input.
    """
    import pandas as pd

    frame = pd.DataFrame(dict(zip(schema.names, batch.columns, strict=True)))
    try:
        return model.predict(frame)
    except Exception as error:
        raise ModelError(f"the model failed: {type(error).__name__}") from None


def raw_columns(result: Any, names: Sequence[str], count: int) -> Mapping[str, Column]:
    """A pyfunc result (DataFrame, Series, array, list, dict of arrays) as named columns.

    Raises ModelError when it does not hold one value per record and name.
    """
    columns = _by_name(result) or _by_place(result, names)
    for name in names:
        if name not in columns or columns[name].shape != (count,):
            raise ModelError(f"the model did not return one value of '{name}' per record")
    return {name: columns[name] for name in names}


def raw_names(result: Any, classes: Sequence[str] | None) -> list[str]:
    """The raw column names of a trial result: the model's own, its class labels, or numbers."""
    named = _by_name(result)
    if named:
        return list(named)
    values = np.asarray(result)
    if values.ndim == 1 or values.shape[1] == 1:
        return ["prediction"]
    if classes is not None and len(classes) == values.shape[1]:
        return [str(label) for label in classes]
    return [f"prediction_{i}" for i in range(values.shape[1])]


def _by_name(result: Any) -> dict[str, Column]:
    if isinstance(result, Mapping):
        return {str(name): np.asarray(values) for name, values in result.items()}
    if hasattr(result, "columns"):
        return {str(name): result[name].to_numpy() for name in result.columns}
    return {}


def _by_place(result: Any, names: Sequence[str]) -> dict[str, Column]:
    values = np.asarray(result)
    if values.ndim == 1:
        values = values[:, np.newaxis]
    if values.ndim != 2 or values.shape[1] != len(names):
        raise ModelError(f"the model did not return {len(names)} values per record")
    return {name: values[:, i] for i, name in enumerate(names)}
