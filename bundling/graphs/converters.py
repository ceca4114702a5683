"""The converters that skl2onnx is given in place of its own."""

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

from bundling.graphs.categories import encoded_categories, encoder_width
from bundling.graphs.conversion import Conversion, Converter, ShapeCalculator
from bundling.graphs.imputer import imputed, set_imputer_type
from bundling.graphs.polynomial import polynomials
from bundling.graphs.writer import GraphWriter

_Write = Callable[[GraphWriter, Any, Conversion], str]


def converters(
    conversion: Conversion,
) -> tuple[Mapping[type, Converter], Mapping[type, ShapeCalculator]]:
    """What `convert_sklearn` takes as conversion functions and shape calculators."""
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import (
        OneHotEncoder,
        OrdinalEncoder,
        PolynomialFeatures,
        TargetEncoder,
    )

    kinds: dict[type, tuple[_Write, ShapeCalculator]] = {
        SimpleImputer: (imputed, lambda operator: set_imputer_type(operator, conversion)),
        PolynomialFeatures: (polynomials, _numbers(conversion, lambda e: e.n_output_features_)),
    }
    for encoder in (OneHotEncoder, OrdinalEncoder, TargetEncoder):
        kinds[encoder] = (encoded_categories, _numbers(conversion, encoder_width))
    numbers = count()
    return (
        {kind: _converter(write, conversion, numbers) for kind, (write, _) in kinds.items()},
        {kind: set_type for kind, (_, set_type) in kinds.items()},
    )


def _converter(write: _Write, conversion: Conversion, numbers: Iterator[int]) -> Converter:
    def convert(scope: Any, operator: Any, container: Any) -> None:  # noqa: ARG001
        writer = GraphWriter(f"e{next(numbers)}_")
        found = write(writer, operator, conversion)
        writer.node("Identity", [found], name=operator.outputs[0].full_name)
        container.nodes.extend(writer.nodes)
        container.initializers.extend(writer.initializers)

    return convert


def _numbers(conversion: Conversion, width: Callable[[Any], int]) -> ShapeCalculator:
    def set_type(operator: Any) -> None:
        columns = int(width(operator.raw_operator))
        operator.outputs[0].type = conversion.tensor_type([None, columns])

    return set_type
