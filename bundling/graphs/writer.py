"""Write ONNX graphs node by node."""

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from scoring.schema import FieldType, Schema

FloatType = Literal["double", "float"]

OPSET: Final = 21
ML_OPSET: Final = 5
"""ai.onnx.ml 5 has the tree ensemble that sums in float64."""

IR_VERSION: Final = 10


class GraphWriter:
    """Nodes and constants in the making; every node has one output, whose name is returned.

    Names start with `prefix`, so that they can be added to a graph that has others.
    """

    def __init__(self, prefix: str = "t") -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self._prefix = prefix

    def node(
        self, kind: str, inputs: Sequence[str], domain: str = "", name: str = "", **attributes: Any
    ) -> str:
        """Append a node; `name` is the name of its output, a new one if empty."""
        output = name or f"{self._prefix}{len(self.nodes)}_{kind.lower()}"
        # Without a name of its own a node may be taken for another when graphs are merged.
        named = f"node_{output}"
        self.nodes.append(
            helper.make_node(kind, list(inputs), [output], named, domain=domain, **attributes)
        )
        return output

    def constant(self, values: Any, dtype: Any = np.float64) -> str:
        """A constant tensor; `dtype` object stands for strings."""
        name = f"{self._prefix}c{len(self.initializers)}"
        self.initializers.append(tensor(values, dtype, name))
        return name


def tensor(values: Any, dtype: Any = np.float64, name: str = "") -> TensorProto:
    """An ONNX tensor of a NumPy array; strings for the dtype object."""
    array: NDArray[Any] = np.asarray(values, dtype=dtype)
    if array.dtype != np.dtype(object):
        return numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
    made = TensorProto(name=name, data_type=TensorProto.STRING, dims=array.shape)
    # Not through helper.make_tensor, whose NumPy array of bytes drops a NUL at the end.
    made.string_data.extend(str(value).encode() for value in array.ravel())
    return made


def matrix_inputs(schema: Schema, float_type: FloatType) -> list[Any]:
    """The inputs `numeric` and `text` of the graph contract in `scoring.backends.onnx`."""
    kind = TensorProto.DOUBLE if float_type == "double" else TensorProto.FLOAT
    numeric = sum(f.is_numeric for f in schema.features)
    text = sum(f.type is FieldType.STRING for f in schema.features)
    inputs = []
    if numeric:
        inputs.append(helper.make_tensor_value_info("numeric", kind, [None, numeric]))
    if text:
        inputs.append(helper.make_tensor_value_info("text", TensorProto.STRING, [None, text]))
    return inputs


def make_model(
    writer: GraphWriter, name: str, inputs: Sequence[Any], outputs: Sequence[Any]
) -> ModelProto:
    """The finished graph."""
    graph = helper.make_graph(writer.nodes, name, inputs, outputs, writer.initializers)
    model = helper.make_model(graph)
    set_opsets(model)
    return model


def set_opsets(model: ModelProto, ml: int = ML_OPSET) -> None:
    """Declare the operator sets of a graph."""
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", OPSET))
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", ml))
    model.ir_version = IR_VERSION


def select_output(model: ModelProto, name: str) -> ModelProto:
    """A copy of the graph with a single output, and only what that needs."""
    chosen = ModelProto()
    chosen.CopyFrom(model)
    graph = chosen.graph
    needed = {name}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    outputs = [output for output in graph.output if output.name == name]
    constants = [constant for constant in graph.initializer if constant.name in needed]
    del graph.output[:], graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.output.extend(outputs)
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)
    return chosen
