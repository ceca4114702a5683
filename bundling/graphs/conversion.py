"""What the converters for skl2onnx share: how a graph is made, and what its variables hold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto

from bundling.graphs.writer import FloatType, GraphWriter
from scoring.backends.onnx import text_cell

Converter = Callable[[Any, Any, Any], None]
ShapeCalculator = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a graph is made: its float type, and whether its text carries nulls and escapes."""

    float_type: FloatType
    nulls: bool

    @property
    def dtype(self) -> Any:
        """The NumPy type of its numbers."""
        return np.float64 if self.float_type == "double" else np.float32

    @property
    def tensor_type(self) -> Any:
        """skl2onnx's class for its numbers."""
        from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

        return DoubleTensorType if self.float_type == "double" else FloatTensorType

    @property
    def element(self) -> int:
        """ONNX's number of that type."""
        return int(TensorProto.DOUBLE if self.float_type == "double" else TensorProto.FLOAT)

    def key(self, category: Any) -> str:
        """A text category as the graph meets it."""
        if not self.nulls:
            return str(category)
        return text_cell(None if is_null(category) else str(category))


def joined(writer: GraphWriter, inputs: Sequence[Any]) -> str:
    """Variables of skl2onnx side by side."""
    names = [variable.full_name for variable in inputs]
    return names[0] if len(names) == 1 else writer.node("Concat", names, axis=1)


def is_text(variable: Any) -> bool:
    """Whether a variable of skl2onnx holds strings."""
    from skl2onnx.common.data_types import StringTensorType

    return isinstance(variable.type, StringTensorType)


def is_null(value: Any) -> bool:
    """Whether a category or a fill value stands for a null."""
    import pandas as pd

    return value is None or value is pd.NA or (isinstance(value, float) and value != value)
