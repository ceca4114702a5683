"""A compiled model: ONNX Runtime on one thread, with at most one numeric and one text input.

Graph contract: input `numeric` of shape (records, numeric features) in float64 or float32, input
`text` of shape (records, string features), each in schema order and absent when empty; one output
of shape (records, raw columns) or (records,). A null is NaN in `numeric`. ONNX has no null for
strings: where any text feature is optional, every cell of `text` is written by `text_cell`, and the
graph was made for that.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from scoring.errors import BundleError, ModelError
from scoring.model import OUTLIER
from scoring.records import Column, RecordBatch
from scoring.schema import FieldType, Schema

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

NULL_TEXT: Final = "\0"
"""A null in the input `text` of a graph with optional text features. A text that begins with it
gets one more in front, so no text is taken for a null, and different texts stay different."""

_DTYPES: Mapping[str, np.dtype[Any]] = {
    "double": np.dtype(np.float64),
    "float": np.dtype(np.float32),
}


class OnnxGraph:
    """A compiled graph over a model's features. Safe to call from several threads."""

    def __init__(self, graph: Path, schema: Schema, float_type: str) -> None:
        """Raises BundleError when ONNX Runtime refuses the graph."""
        self._session = open_session(graph)
        self._output = self._session.get_outputs()[0].name
        self._dtype = _DTYPES[float_type]
        self._numeric = [i for i, f in enumerate(schema.features) if f.is_numeric]
        self._text = [i for i, f in enumerate(schema.features) if f.type is FieldType.STRING]
        self._nulls = has_text_nulls(schema)

    def feed(self, batch: RecordBatch) -> dict[str, Column]:
        """The graph's inputs for a batch."""
        feed: dict[str, Column] = {}
        if self._numeric:
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
                feed["numeric"] = matrix(batch, self._numeric, self._dtype)
        if self._text:
            text = text_matrix if self._nulls else matrix
            feed["text"] = text(batch, self._text, np.dtype(object))
        return feed

    def run(self, batch: RecordBatch) -> Column:
        """The graph's output, a row per record; raises ModelError."""
        return _run(self._session, self._output, self.feed(batch))


class OnnxBackend:
    """Computes raw columns with a compiled graph. Safe to call from several threads."""

    def __init__(self, graph: Path, schema: Schema, raw: Sequence[str], float_type: str) -> None:
        """Raises BundleError when ONNX Runtime refuses the graph."""
        self._graph = OnnxGraph(graph, schema, float_type)
        self._raw = tuple(raw)

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """Raw columns by name; raises ModelError."""
        values = self._graph.run(batch)
        if values.ndim == 1:
            values = values[:, np.newaxis]
        if values.shape != (len(batch), len(self._raw)):
            raise ModelError("the compiled model returned another shape than at packaging")
        return {name: values[:, i] for i, name in enumerate(self._raw)}


class OnnxOutlierDetector:
    """Anomaly scores from a compiled graph over numeric features."""

    def __init__(self, graph: Path, schema: Schema, features: Sequence[str]) -> None:
        """Raises BundleError when the graph cannot be loaded or a feature is not in the schema."""
        self._session = open_session(graph)
        self._output = self._session.get_outputs()[0].name
        try:
            self._numeric = [schema.index(name) for name in features]
        except KeyError as error:
            raise BundleError(f"{graph}: the model has no feature {error}") from error

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:
        """The raw column `scoring.model.OUTLIER` in float64; raises ModelError."""
        feed = {"numeric": matrix(batch, self._numeric, np.dtype(np.float64))}
        scores = _run(self._session, self._output, feed).reshape(len(batch))
        return {OUTLIER: scores.astype(np.float64)}


def open_session(graph: Path) -> "InferenceSession":
    """A session on one thread, so that sums are always made in the same order."""
    # ONNX Runtime reports usage to its makers from a thread of its own. It reads this once, while
    # it is imported; `disable_telemetry_events` comes too late.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised; their log may quote the input
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no public base class for its errors
        raise BundleError(f"ONNX Runtime cannot load {graph}") from error


def matrix(batch: RecordBatch, columns: Sequence[int], dtype: np.dtype[Any]) -> Column:
    """Columns side by side, shape (records, len(columns)); a null becomes NaN in one of floats."""
    if len(batch) == 1:  # the same in one call, as an online request is mostly one record
        parts = [batch.columns[index] for index in columns]
        return np.concatenate(parts, dtype=dtype, casting="unsafe").reshape(1, len(parts))
    values = np.empty((len(batch), len(columns)), dtype=dtype)
    for place, index in enumerate(columns):
        values[:, place] = batch.columns[index]
    return values


def text_matrix(batch: RecordBatch, columns: Sequence[int], dtype: np.dtype[Any]) -> Column:
    """`matrix` of text columns with nulls, every cell as `text_cell` writes it."""
    values = np.empty((len(batch), len(columns)), dtype=dtype)
    for place, index in enumerate(columns):
        values[:, place] = [text_cell(value) for value in batch.columns[index]]
    return values


def text_cell(value: str | None) -> str:
    """A text or a null as the graph is fed it; see `NULL_TEXT`."""
    if value is None:
        return NULL_TEXT
    return NULL_TEXT + value if value.startswith(NULL_TEXT) else value


def has_text_nulls(schema: Schema) -> bool:
    """Whether any text feature is optional."""
    return any(f.type is FieldType.STRING and not f.required for f in schema.features)


def _run(session: "InferenceSession", output: str, feed: dict[str, Column]) -> Column:
    try:
        return np.asarray(session.run([output], feed)[0])
    except Exception as error:  # its text may quote input values, so it is not repeated
        raise ModelError(f"the compiled model failed: {type(error).__name__}") from None
