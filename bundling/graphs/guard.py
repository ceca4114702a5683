"""Nodes that make a graph fail on a record that the registered model refuses.

ONNX has no node that raises. Where something is wrong, a look-up in a table of one cell is made to
reach beyond it, and ONNX Runtime fails the call; where nothing is, the cell changes nothing.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto

from bundling.graphs.writer import GraphWriter, tensor
from scoring.backends.onnx import NULL_TEXT
from scoring.schema import FieldType, Schema


def refuse_overflow(writer: GraphWriter, encoded: str) -> str:
    """`encoded` (n, width) float64, and a failure where float32 cannot hold one of its numbers."""
    narrow = writer.node("Cast", [encoded], to=TensorProto.FLOAT)
    zeros = _cell_unless(writer, writer.node("IsInf", [narrow]), 0.0, np.float64)
    return writer.node("Add", [encoded, zeros])


def refuse_not_finite(writer: GraphWriter, encoded: str) -> str:
    """`encoded` (n, width) float64, and a failure on a row with a number that is not finite."""
    width = writer.node("Shape", [encoded], start=1)
    shape = writer.node("Concat", [width, writer.constant([1], np.int64)], axis=0)
    zeros = writer.node("ConstantOfShape", [shape], value=tensor([0.0]))
    nothing = writer.node("MatMul", [encoded, zeros])  # infinity times zero is no number
    cell = _cell_unless(writer, writer.node("IsNaN", [nothing]), 0.0, np.float64)
    return writer.node("Add", [encoded, cell])


def refuse_nulls(model: ModelProto, schema: Schema, names: Sequence[str]) -> None:
    """Make a graph with the inputs `numeric` and `text` fail on a null in one of these columns."""
    writer = GraphWriter("guard_")
    numeric = [f.name for f in schema.features if f.is_numeric]
    text = [f.name for f in schema.features if f.type is FieldType.STRING]
    for matrix, columns in (("numeric", numeric), ("text", text)):
        places = [place for place, name in enumerate(columns) if name in names]
        if places:
            _replace_input(model, matrix, _guarded(writer, model, matrix, places))
    body = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*writer.nodes, *body])
    model.graph.initializer.extend(writer.initializers)


def _guarded(writer: GraphWriter, model: ModelProto, matrix: str, places: list[int]) -> str:
    """The matrix, and a failure where one of the columns at `places` holds a null."""
    columns = writer.node("Gather", [matrix, writer.constant(places, np.int64)], axis=1)
    axis = writer.constant([1], np.int64)
    if matrix == "text":
        null = writer.node("Equal", [columns, writer.constant([NULL_TEXT], object)])
        empty = _cell_unless(writer, null, "", object, axis)
        return writer.node("StringConcat", [matrix, empty])
    kinds = {i.name: i.type.tensor_type.elem_type for i in model.graph.input}
    dtype = np.float64 if kinds[matrix] == TensorProto.DOUBLE else np.float32
    zero = _cell_unless(writer, writer.node("IsNaN", [columns]), 0.0, dtype, axis)
    return writer.node("Add", [matrix, zero])


def _cell_unless(
    writer: GraphWriter, wrong: str, cell: Any, dtype: Any, axis: str | None = None
) -> str:
    """`cell` in the shape of `wrong`, along `axis` once, and a failure where `wrong` is true."""
    place = writer.node("Cast", [wrong], to=TensorProto.INT64)
    if axis is not None:
        place = writer.node("ReduceMax", [place, axis], keepdims=1)
    return writer.node("Gather", [writer.constant([cell], dtype), place])


def _replace_input(model: ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == old:
                node.input[place] = new
