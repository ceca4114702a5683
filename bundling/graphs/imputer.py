"""scikit-learn's SimpleImputer as ONNX nodes, of numbers and of text."""

from typing import Any

import numpy as np

from bundling.graphs.conversion import Conversion, is_null, is_text, joined
from bundling.graphs.writer import GraphWriter
from bundling.native import NotCompilable
from scoring.backends.onnx import NULL_TEXT


def imputed(writer: GraphWriter, operator: Any, conversion: Conversion) -> str:
    """Append an imputer; the name of what it gives."""
    imputer = operator.raw_operator
    matrix = joined(writer, operator.inputs)
    if all(is_text(variable) for variable in operator.inputs):
        return _text(writer, matrix, imputer, conversion)
    return _numbers(writer, matrix, imputer, conversion)


def set_imputer_type(operator: Any, conversion: Conversion) -> None:
    """Set the type and width of an imputer's output."""
    from skl2onnx.common.data_types import StringTensorType

    imputer = operator.raw_operator
    kinds = {is_text(variable) for variable in operator.inputs}
    if len(kinds) != 1:
        raise NotCompilable("an imputer of text and numbers together has no compiled form")
    width = int(_kept(imputer).sum())
    if imputer.indicator_ is not None:
        width += len(imputer.indicator_.features_)
    kind = StringTensorType if kinds == {True} else conversion.tensor_type
    operator.outputs[0].type = kind([None, width])


def _kept(imputer: Any) -> Any:
    """The columns that come out: those without any value in training are dropped."""
    empty = np.array([is_null(value) for value in imputer.statistics_.tolist()])
    return ~empty | bool(imputer.keep_empty_features)


def _text(writer: GraphWriter, matrix: str, imputer: Any, conversion: Conversion) -> str:
    if imputer.indicator_ is not None or not _kept(imputer).all():
        raise NotCompilable("a text imputer with an indicator or empty columns is not compiled")
    if is_null(imputer.missing_values):
        if not conversion.nulls:  # no text column is optional: there is nothing to fill
            return matrix
        marker = NULL_TEXT
    else:
        marker = conversion.key(imputer.missing_values)
    missing = writer.node("Equal", [matrix, writer.constant([marker], object)])
    fills = [conversion.key(value) for value in imputer.statistics_.tolist()]
    return writer.node("Where", [missing, writer.constant([fills], object), matrix])


def _numbers(writer: GraphWriter, matrix: str, imputer: Any, conversion: Conversion) -> str:
    if is_null(imputer.missing_values):
        missing = writer.node("IsNaN", [matrix])
    else:
        marker = writer.constant([imputer.missing_values], conversion.dtype)
        missing = writer.node("Equal", [matrix, marker])
    kept = _kept(imputer)
    values, where = matrix, missing
    if not kept.all():
        columns = writer.constant(np.flatnonzero(kept), np.int64)
        values = writer.node("Gather", [matrix, columns], axis=1)
        where = writer.node("Gather", [missing, columns], axis=1)
    fills = [imputer.statistics_[kept].astype(np.float64)]
    filled = writer.node("Where", [where, writer.constant(fills, conversion.dtype), values])
    if imputer.indicator_ is None:
        return filled
    features = writer.constant(imputer.indicator_.features_, np.int64)
    shown = writer.node("Gather", [missing, features], axis=1)
    flags = writer.node("Cast", [shown], to=conversion.element)
    return writer.node("Concat", [filled, flags], axis=1)
