"""scikit-learn estimators as ONNX through skl2onnx, with one numeric and one text input.

skl2onnx makes an input of each column. A graph with many inputs spends most of a call on feeding,
so they are replaced by two matrices, and what the graph only put together again is taken whole.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from onnx import ModelProto, NodeProto, helper

from bundling.graphs.conversion import Conversion
from bundling.graphs.converters import converters
from bundling.graphs.writer import OPSET, matrix_inputs, set_opsets, tensor
from bundling.native import NotCompilable
from scoring.schema import Schema

_ML_OPSET: Final = 3
"""The last of ai.onnx.ml with the tree operators that skl2onnx makes."""


def convert(estimator: Any, schema: Schema, conversion: Conversion) -> ModelProto:
    """The graph of an estimator or of a Pipeline of transformers. Raises NotCompilable."""
    from skl2onnx import convert_sklearn

    whole = _takes_matrix(estimator, schema)
    functions, shapes = converters(conversion)
    try:
        model: ModelProto = convert_sklearn(
            estimator,
            initial_types=_inputs(schema, conversion, whole),
            options={id(estimator): {"zipmap": False}} if hasattr(estimator, "classes_") else None,
            target_opset={"": OPSET, "ai.onnx.ml": _ML_OPSET},
            custom_conversion_functions=functions,
            custom_shape_calculators=shapes,
        )
    except NotCompilable:
        raise
    except Exception as error:  # converters raise many unrelated types
        raise NotCompilable(_reason(error)) from error
    # skl2onnx declares the lowest operator set that has what it used; its nodes fit all up to
    # the one it was asked for.
    set_opsets(model, _ML_OPSET)
    return model if whole else _with_matrix_inputs(model, schema, conversion)


def _takes_matrix(estimator: Any, schema: Schema) -> bool:
    """Whether all numbers can be one input, as no step chooses columns by their names. skl2onnx
    would put single columns together in float32.
    """
    from sklearn.compose import ColumnTransformer

    parts = [estimator, *getattr(estimator, "get_params", dict)().values()]
    chooses = any(isinstance(part, ColumnTransformer) for part in parts)
    return not chooses and all(feature.is_numeric for feature in schema.features)


def _inputs(schema: Schema, conversion: Conversion, whole: bool) -> list[tuple[str, Any]]:
    from skl2onnx.common.data_types import StringTensorType

    if whole:
        return [("numeric", conversion.tensor_type([None, len(schema.features)]))]
    return [
        (f.name, (conversion.tensor_type if f.is_numeric else StringTensorType)([None, 1]))
        for f in schema.features
    ]


def _reason(error: Exception) -> str:
    """Which estimator skl2onnx does not know, where its words name one."""
    named = re.search(r"<class '[\w.]*?(\w+)'>", str(error))
    if type(error).__name__.startswith("Missing") and named is not None:
        return f"skl2onnx has no converter for {named[1]}"
    return f"skl2onnx cannot convert it: {type(error).__name__}"


def _with_matrix_inputs(model: ModelProto, schema: Schema, conversion: Conversion) -> ModelProto:
    graph = model.graph
    if len(graph.input) != len(schema.features):
        raise NotCompilable("the converted graph lost an input column")
    # By place: skl2onnx changes some names, and a feature may be called like a matrix.
    columns = [f"column_{place}" for place in range(len(schema.features))]
    renamed = dict(zip((i.name for i in graph.input), columns, strict=True))
    body = list(graph.node)
    for node in body:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    del graph.input[:], graph.node[:]
    graph.input.extend(matrix_inputs(schema, conversion.float_type))
    for matrix in ("numeric", "text"):
        of_matrix = [
            column
            for column, feature in zip(columns, schema.features, strict=True)
            if feature.is_numeric is (matrix == "numeric")
        ]
        body = _taken_whole(graph, body, matrix, of_matrix)
        if any(name in node.input for node in body for name in of_matrix):
            graph.node.append(_split(graph, matrix, of_matrix))
    graph.node.extend(body)
    return model


def _taken_whole(
    graph: Any, body: Sequence[NodeProto], matrix: str, columns: Sequence[str]
) -> list[NodeProto]:
    """The nodes with every Concat of the matrix's columns replaced by it or a part of it."""
    place = {name: i for i, name in enumerate(columns)}
    nodes: list[NodeProto] = []
    for number, node in enumerate(body):
        if node.op_type != "Concat" or not all(name in place for name in node.input):
            nodes.append(node)
            continue
        places = [place[name] for name in node.input]
        if places == list(range(len(columns))):
            nodes.append(helper.make_node("Identity", [matrix], list(node.output)))
            continue
        constant = f"{matrix}_columns_{number}"
        graph.initializer.append(tensor(places, np.int64, constant))
        nodes.append(helper.make_node("Gather", [matrix, constant], list(node.output), axis=1))
    return nodes


def _split(graph: Any, matrix: str, columns: Sequence[str]) -> NodeProto:
    sizes = f"{matrix}_sizes"
    graph.initializer.append(tensor([1] * len(columns), np.int64, sizes))
    return helper.make_node("Split", [matrix, sizes], list(columns), axis=1)
