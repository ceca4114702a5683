"""scikit-learn's PolynomialFeatures as ONNX: one product of columns per degree, in float64."""

from typing import Any

import numpy as np

from bundling.graphs.conversion import Conversion, joined
from bundling.graphs.writer import GraphWriter


def polynomials(writer: GraphWriter, operator: Any, conversion: Conversion) -> str:
    """Append the products of each output's factors; a constant 1 fills up the shorter ones."""
    powers = operator.raw_operator.powers_
    degree = max(1, int(powers.sum(axis=1).max()))
    one = powers.shape[1]  # the place of the column of ones, behind the input's
    factors = np.full((len(powers), degree), one)
    for row, exponents in enumerate(powers):
        factors[row, : exponents.sum()] = np.repeat(np.arange(one), exponents)
    pads = writer.constant([0, 0, 0, 1], np.int64)
    matrix = joined(writer, operator.inputs)
    padded = writer.node("Pad", [matrix, pads, writer.constant(1.0, conversion.dtype)])
    found = ""
    for place in range(degree):
        columns = writer.constant(factors[:, place], np.int64)
        factor = writer.node("Gather", [padded, columns], axis=1)
        found = writer.node("Mul", [found, factor]) if found else factor
    return found
