"""From margins to what a model returns: probabilities, labels or values.

Only operations whose result for a record does not depend on the other records of the call: ONNX
Runtime's Sigmoid, Exp and Softmax are vectorised and treat the last elements of a batch another
way than the rest, one unit in the last place apart. Pow of a constant calls the C library's scalar
function for each element.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bundling.graphs.writer import GraphWriter


def logistic_pair(writer: GraphWriter, margins: str, mirrored: bool) -> str:
    """1 / (1 + exp(-m)) for both classes, (n, 2).

    `margins` holds the log-odds of the second class (n, 1), or if `mirrored` of both (n, 2).
    """
    bases = np.array(1.0 / np.e) if mirrored else np.array([[np.e, 1.0 / np.e]])
    one = writer.constant(1.0)
    power = writer.node("Pow", [writer.constant(bases), margins])
    return writer.node("Div", [one, writer.node("Add", [power, one])])


def logistic(writer: GraphWriter, margins: str) -> str:
    """1 / (1 + exp(-m)), the shape of `margins`."""
    one = writer.constant(1.0)
    power = writer.node("Pow", [writer.constant(1.0 / np.e), margins])
    return writer.node("Div", [one, writer.node("Add", [power, one])])


def softmax(writer: GraphWriter, margins: str, width: int) -> str:
    """exp(m) over its sum along a record's margins, (n, width)."""
    axis = writer.constant([1], np.int64)
    largest = writer.node("ReduceMax", [margins, axis], keepdims=1)
    below = writer.node("Sub", [margins, largest])
    power = writer.node("Pow", [writer.constant(np.e), below])
    sums = writer.node("MatMul", [power, writer.constant(np.ones((width, width)))])
    return writer.node("Div", [power, sums])


def both_shares(writer: GraphWriter, share: str) -> str:
    """1 - p and p side by side, (n, 2), from p (n, 1)."""
    signed = writer.node("Mul", [share, writer.constant([[-1.0, 1.0]])])
    return writer.node("Add", [signed, writer.constant([[1.0, 0.0]])])


def labels(writer: GraphWriter, scores: str, classes: Sequence[Any]) -> str:
    """The label with the highest score, the first of equals, (n,)."""
    best = writer.node("ArgMax", [scores], axis=1, keepdims=0)
    array = np.asarray(list(classes))
    dtype: Any = object if array.dtype.kind not in "biuf" else array.dtype
    if array.dtype.kind in "iu":
        dtype = np.int64
    return writer.node("Gather", [writer.constant(list(classes), dtype), best])
