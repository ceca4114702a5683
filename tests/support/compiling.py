"""Compile an estimator without MLflow, and say what it gives for its parity batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd

from bundling.graphs.model import compile_model
from bundling.graphs.writer import FloatType, select_output
from bundling.native import native_model
from bundling.parity.proof import call_width, largest_difference, parity_batch
from bundling.parity.refusals import survivors
from scoring.backends.onnx import OnnxBackend
from scoring.errors import ModelError
from scoring.records import Column, RecordBatch
from scoring.schema import FieldType, Schema
from tests.support.zoo import as_rows

KINDS = {"f": "double", "i": "long", "b": "boolean"}


def schema_of(frame: pd.DataFrame, optional: Sequence[str] = ()) -> Schema:
    """The schema of a DataFrame's columns."""
    return Schema.from_signature(
        [
            {
                "name": c,
                "type": KINDS.get(frame[c].dtype.kind, "string"),
                "required": c not in optional,
            }
            for c in frame
        ]
    )


def table(schema: Schema, batch: RecordBatch) -> pd.DataFrame:
    """A batch as the registered model is given it: text as pandas' own strings."""
    columns = zip(schema.features, batch.columns, strict=True)
    return pd.DataFrame(
        {
            f.name: pd.Series(c, dtype="str" if f.type is FieldType.STRING else None)
            for f, c in columns
        }
    )


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A compiled estimator, its parity batch, and what the estimator gives for that."""

    backend: OnnxBackend
    schema: Schema
    batch: RecordBatch
    expected: Mapping[str, Column]

    def difference(self) -> float:
        """The largest, as packaging measures it."""
        return largest_difference(self.expected, self.backend.compute(self.batch))

    def width(self) -> int | None:
        """None when a record gets the same bits in any batch; of every third record, for speed."""
        return call_width(self.backend, self.batch.take(range(0, len(self.batch), 3)))


def compile_fitted(
    estimator: Any,
    frame: pd.DataFrame,
    work: Path,
    *,
    optional: Sequence[str] = (),
    method: str = "predict",
    float_type: FloatType = "double",
) -> Compiled:
    """Compile it and keep the output of the shape that `method` gives; ModelError where none is."""
    schema = schema_of(frame, optional)
    native = _Estimator(estimator, method, schema)
    batch = survivors(native, parity_batch(schema, as_rows(frame, 150)))
    expected = native.compute(batch)
    graph = compile_model(native_model(estimator), schema, float_type)
    found: list[Compiled] = []
    for output in graph.graph.output:
        path = work / f"{output.name}.onnx"
        onnx.save(select_output(graph, output.name), str(path))
        backend = OnnxBackend(path, schema, list(expected), float_type)
        compiled = Compiled(backend, schema, batch, expected)
        try:
            backend.compute(batch.slice(0, 1))
        except ModelError:
            continue
        found.append(compiled)
    if not found:
        raise ModelError("no output of the graph has the shape of the estimator's")
    return min(found, key=lambda one: one.difference())


def _columns(result: Any) -> dict[str, Column]:
    values = np.asarray(result)
    values = values[:, np.newaxis] if values.ndim == 1 else values
    return {f"output_{i}": values[:, i] for i in range(values.shape[1])}


@dataclass(frozen=True, slots=True, eq=False)
class _Estimator:
    """An estimator as a backend: it refuses with ModelError."""

    estimator: Any
    method: str
    schema: Schema

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        try:
            with np.errstate(over="ignore"):  # scikit-learn casts before it looks
                return _columns(getattr(self.estimator, self.method)(table(self.schema, batch)))
        except ValueError as error:
            raise ModelError("the estimator refuses a record") from error
