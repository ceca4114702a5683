"""Registered models as ONNX graphs shaped for serving, as `scoring.backends.onnx` takes them.

Trees and linear models are written here, in float64 and with operations that give a record the same
bits in any batch; what stands before them in a Pipeline, and all other estimators, go through
skl2onnx.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from bundling.graphs.conversion import Conversion
from bundling.graphs.guard import refuse_not_finite, refuse_nulls, refuse_overflow
from bundling.graphs.linear import linear_outputs
from bundling.graphs.skl2onnx_door import convert
from bundling.graphs.trees import ensemble_outputs
from bundling.graphs.writer import FloatType, GraphWriter, make_model, matrix_inputs, set_opsets
from bundling.native import NativeModel, NotCompilable
from bundling.trees.reader import is_tree_ensemble, read_ensemble
from scoring.backends.onnx import has_text_nulls
from scoring.schema import FieldType, Schema

ENCODED: Final = "encoded"
"""What the final estimator receives."""


def compile_model(
    native: NativeModel, schema: Schema, float_type: FloatType, refused: Sequence[str] = ()
) -> ModelProto:
    """The whole model; each output of the graph is something its `predict` may return.

    The graph fails on a null in one of the columns `refused`. Raises NotCompilable.
    """
    model = _unguarded(native, schema, float_type)
    refuse_nulls(model, schema, refused)
    return model


def _unguarded(native: NativeModel, schema: Schema, float_type: FloatType) -> ModelProto:
    writer = GraphWriter()
    outputs = _final_outputs(writer, native, schema, float_type)
    if outputs is None:
        return convert(native.estimator, schema, _conversion(schema, float_type))
    model = compile_encoder(native, schema, float_type=float_type)
    set_opsets(model)
    model.graph.node.extend(writer.nodes)
    model.graph.initializer.extend(writer.initializers)
    del model.graph.output[:]
    # Their types are left to ONNX Runtime, which infers them.
    model.graph.output.extend(ValueInfoProto(name=name) for name in outputs.values())
    return model


def compile_encoder(
    native: NativeModel, schema: Schema, float32: bool = False, float_type: FloatType = "double"
) -> ModelProto:
    """From the inputs of the model's graph to one output `encoded` (n, width) float64: what
    `native.final` receives, the columns in schema order where nothing stands before it.

    With `float32` its numbers are rounded to float32, as some libraries do before they compare.
    `float_type` is that of the inputs and of the work. Raises NotCompilable.
    """
    conversion = _conversion(schema, float_type)
    writer = GraphWriter("encoder_")
    if native.encoder is not None:
        model = convert(native.encoder, schema, conversion)
        found = model.graph.output[0].name
    elif all(feature.is_numeric for feature in schema.features):
        model = make_model(GraphWriter(), "model", matrix_inputs(schema, float_type), [])
        found = "numeric"
    else:
        raise NotCompilable("text reaches the estimator as it is")
    if _drops_zeros(native):
        zero = writer.node("Equal", [found, writer.constant(0.0, conversion.dtype)])
        found = writer.node("Where", [zero, writer.constant(np.nan, conversion.dtype), found])
    if float32 and float_type == "double":
        found = writer.node("Cast", [found], to=TensorProto.FLOAT)
    if float32 or float_type == "float":
        writer.node("Cast", [found], name=ENCODED, to=TensorProto.DOUBLE)
    else:
        writer.node("Identity", [found], name=ENCODED)
    model.graph.node.extend(writer.nodes)
    model.graph.initializer.extend(writer.initializers)
    del model.graph.output[:]
    model.graph.output.append(
        helper.make_tensor_value_info(ENCODED, TensorProto.DOUBLE, [None, None])
    )
    return model


def _final_outputs(
    writer: GraphWriter, native: NativeModel, schema: Schema, float_type: FloatType
) -> Mapping[str, str] | None:
    """The nodes after `encoded`; None for an estimator that is left to skl2onnx."""
    if is_tree_ensemble(native.final):
        ensemble = read_ensemble(native.final)
        if native.encoder is None and ensemble.width != len(schema.features):
            # ONNX Runtime would read beyond a record's columns.
            raise NotCompilable("the trees take another number of columns than the signature has")
        encoded = ENCODED
        if _refuses_overflow(native.final) and ensemble.float32 and _has_doubles(schema):
            encoded = refuse_overflow(writer, encoded)
        return ensemble_outputs(writer, encoded, ensemble)
    encoded = ENCODED
    wide = float_type == "double" and any(f.type is FieldType.DOUBLE for f in schema.features)
    if wide and native.encoder is not None:  # a scaler may make infinity of a large number
        encoded = refuse_not_finite(writer, encoded)
    return linear_outputs(writer, encoded, native.final)


def _has_doubles(schema: Schema) -> bool:
    return any(feature.type is FieldType.DOUBLE for feature in schema.features)


def _refuses_overflow(final: Any) -> bool:
    """Whether it fails on a number that float32 cannot hold: XGBoost does not when it is called by
    scikit-learn's interface, which all its estimators have and its Booster has not.
    """
    return not hasattr(final, "get_booster")


def _conversion(schema: Schema, float_type: FloatType) -> Conversion:
    if any(feature.type is FieldType.DATETIME for feature in schema.features):
        raise NotCompilable("date-time columns have no compiled form")
    return Conversion(float_type, has_text_nulls(schema))


def _drops_zeros(native: NativeModel) -> bool:
    """Whether the estimator is given sparse matrices and takes what is absent in them for missing:
    XGBoost does, so that there a zero is a missing value.
    """
    if native.encoder is None or not type(native.final).__module__.startswith("xgboost"):
        return False
    last = native.encoder.steps[-1][1]
    return bool(getattr(last, "sparse_output_", getattr(last, "sparse_output", False)))
