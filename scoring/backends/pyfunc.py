"""Any MLflow model, through `mlflow.pyfunc`: the only lane code that imports MLflow and pandas."""

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.backends.results import joined as joined
from scoring.backends.results import raw_columns as raw_columns
from scoring.backends.results import raw_names as raw_names
from scoring.errors import BundleError, ModelError
from scoring.records import Column, RecordBatch
from scoring.schema import DTYPES, FieldType, Schema


class PyfuncBackend:
    """Computes raw columns by calling the registered model. Call it from one thread at a time."""

    def __init__(self, model_directory: Path, schema: Schema, raw: Sequence[str]) -> None:
        """Loads the model; takes seconds. Raises BundleError when MLflow cannot load it."""
        self._model = open_pyfunc(model_directory)
        self._schema = schema
        self._raw = tuple(raw)

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """Raw columns by name; raises ModelError. `batch` is not empty.

        Records with other nulls than the rest are computed in calls of their own, which have as
        many rows as the batch: filled up, so that the width of a call stays what it is.
        """
        groups = _by_nulls(self._schema, batch)
        if len(groups) == 1:
            return self._called(batch)
        parts = [self._called(batch.take(np.resize(group, len(batch)))) for group in groups]
        order = np.argsort(np.concatenate(groups))
        return {
            name: joined([part[name][: len(g)] for part, g in zip(parts, groups, strict=True)])[
                order
            ]
            for name in self._raw
        }

    def _called(self, batch: RecordBatch) -> Mapping[str, Column]:
        return raw_columns(call_pyfunc(self._model, self._schema, batch), self._raw, len(batch))


def open_pyfunc(model_directory: Path) -> Any:
    """The loaded `mlflow.pyfunc.PyFuncModel`. Raises BundleError."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        import mlflow.pyfunc
    except ImportError as error:
        raise BundleError(
            "this bundle was not compiled and needs MLflow: install the extra 'pyfunc'"
        ) from error
    try:
        model = mlflow.pyfunc.load_model(str(model_directory))
    except (Exception, SystemExit) as error:  # a model may raise anything while it loads
        raise BundleError(f"MLflow cannot load the model in {model_directory}: {error}") from error
    _use_one_thread()
    return model


def _use_one_thread() -> None:
    """Sums are then always made in the same order, whatever number of processors a pod sees.

    The environment speaks to libraries that are loaded later, this to those that are: NumPy's
    linear algebra is, before anybody could set a variable for it.
    """
    import threadpoolctl  # type: ignore[import-untyped]

    threadpoolctl.threadpool_limits(limits=1)


def call_pyfunc(model: Any, schema: Schema, batch: RecordBatch) -> Any:
    """What `predict` returns for the batch, whose records all have the same nulls (`_by_nulls`).

    Raises ModelError without the model's own words, which may quote the input.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they may quote the input too
            return model.predict(_frame(schema, batch))
    except (Exception, SystemExit) as error:
        raise ModelError(f"the model failed: {type(error).__name__}") from None


def _frame(schema: Schema, batch: RecordBatch) -> Any:
    """The batch as MLflow's schema enforcement takes it, with dtypes that no record changes.

    MLflow lets no null pass in an integer or long column; but an optional column may be left out,
    and is, where the records have none of it. A boolean column of nulls passes as objects.
    """
    import pandas as pd

    columns: dict[str, Any] = {}
    for feature, column in zip(schema.features, batch.columns, strict=True):
        if feature.type is FieldType.STRING:
            columns[feature.name] = column if feature.required else _texts(column)
        elif feature.dtype != object:
            columns[feature.name] = column
        elif column[0] is not None:
            columns[feature.name] = column.astype(DTYPES[feature.type])
        elif feature.type is FieldType.BOOLEAN:
            columns[feature.name] = column
    return pd.DataFrame(columns, index=range(len(batch)))


def _texts(column: Column) -> Any:
    """Text as pandas itself reads it, also where all of it is null: from version 3 on as `str`."""
    import pandas as pd

    return pd.array(column, dtype="str") if int(pd.__version__[0]) >= 3 else column


def _by_nulls(schema: Schema, batch: RecordBatch) -> list[NDArray[np.intp]]:
    """The positions of the records, those with the same nulls in columns of objects together.

    Otherwise the dtype that MLflow makes of such a column would depend on a record's neighbours.
    """
    columns = [
        column
        for feature, column in zip(schema.features, batch.columns, strict=True)
        if feature.dtype == object and feature.type is not FieldType.STRING
    ]
    nulls = [np.array([v is None for v in column], dtype=np.bool_) for column in columns]
    nulls = [column for column in nulls if column.any() and not column.all()]
    if not nulls:
        return [np.arange(len(batch))]
    _, group = np.unique(np.array(nulls), axis=1, return_inverse=True)
    return [np.flatnonzero(group == g) for g in range(int(group.max()) + 1)]
