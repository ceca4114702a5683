"""scikit-learn pipelines as ONNX graphs shaped for serving: one numeric and one text input.

A graph with an input per column spends most of a call on feeding; so the converted graph's column
inputs are replaced by two matrices that the graph itself splits.
"""

from pathlib import Path
from typing import Any, Literal

from onnx import ModelProto, TensorProto, helper

from scoring.schema import FieldType, Schema

FloatType = Literal["double", "float"]

_OPSETS = {"": 18, "ai.onnx.ml": 3}
"""ai.onnx.ml 3 is the first with float64 classifiers and tree ensembles."""


class NotCompilable(Exception):
    """The model has no ONNX form; the text says why. Packaging falls back to pyfunc."""


def compile_sklearn(model_directory: Path, schema: Schema, float_type: FloatType) -> ModelProto:
    """Convert the model's native scikit-learn estimator. Raises NotCompilable."""
    import mlflow.sklearn
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import (
        DoubleTensorType,
        FloatTensorType,
        StringTensorType,
    )

    unsupported = [f.name for f in schema.features if f.type is FieldType.DATETIME]
    if unsupported:
        raise NotCompilable("date-time columns have no ONNX form")
    if any(not f.required for f in schema.features):
        raise NotCompilable("optional columns may hold nulls, which the graph would not tell apart")
    estimator = mlflow.sklearn.load_model(str(model_directory))
    number = DoubleTensorType if float_type == "double" else FloatTensorType
    inputs = [
        (f.name, (number if f.is_numeric else StringTensorType)([None, 1])) for f in schema.features
    ]
    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "classes_") else None
    try:
        graph: ModelProto = convert_sklearn(
            estimator, initial_types=inputs, options=options, target_opset=_OPSETS
        )
    except Exception as error:  # converters raise many unrelated types
        raise NotCompilable(f"skl2onnx cannot convert it: {type(error).__name__}") from error
    return _with_matrix_inputs(graph, schema, float_type)


def select_output(model: ModelProto, name: str) -> ModelProto:
    """A copy of the graph with a single output."""
    chosen = ModelProto()
    chosen.CopyFrom(model)
    outputs = [output for output in chosen.graph.output if output.name == name]
    del chosen.graph.output[:]
    chosen.graph.output.extend(outputs)
    return chosen


def _with_matrix_inputs(model: ModelProto, schema: Schema, float_type: FloatType) -> ModelProto:
    graph = model.graph
    used = {input_.name for input_ in graph.input}
    missing = set(schema.names) - used
    if missing:
        raise NotCompilable("the converted graph lost an input column")
    kind = TensorProto.DOUBLE if float_type == "double" else TensorProto.FLOAT
    numeric = [f.name for f in schema.features if f.is_numeric]
    text = [f.name for f in schema.features if not f.is_numeric]
    version = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    body = list(graph.node)
    del graph.input[:], graph.node[:]
    for name, columns, element in (("numeric", numeric, kind), ("text", text, TensorProto.STRING)):
        if not columns:
            continue
        graph.input.append(helper.make_tensor_value_info(name, element, [None, len(columns)]))
        graph.node.append(_split(graph, name, columns, version))
    graph.node.extend(body)
    return model


def _split(graph: Any, name: str, columns: list[str], version: int) -> Any:
    """One matrix into columns; `split` moved from an attribute to an input in opset 13."""
    ones = [1] * len(columns)
    if version < 13:
        return helper.make_node("Split", [name], columns, axis=1, split=ones)
    sizes = f"{name}_sizes"
    graph.initializer.append(helper.make_tensor(sizes, TensorProto.INT64, [len(ones)], ones))
    return helper.make_node("Split", [name, sizes], columns, axis=1)
