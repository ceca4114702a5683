"""Contributions computed from the model itself: of a linear model, or of a tree ensemble."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from msgspec.structs import replace
from numpy.typing import NDArray

from bundling.graphs.model import compile_encoder
from bundling.native import NativeModel, classes_of
from bundling.parity.proof import TOLERANCE
from bundling.reasons.margins import (
    LinearMargin,
    linear_margin,
    native_frame,
    own_margins,
    sum_tolerance,
)
from bundling.reasons.proof import NotProven, prove_score, prove_steady, prove_sums, spread
from bundling.reasons.provenance import check_groups, feature_groups
from bundling.reasons.shap_model import lightgbm_model, of_class
from bundling.trees.ensemble import TreeEnsemble
from bundling.trees.reader import read_ensemble
from scoring.explainers import open_reasons
from scoring.explainers.encoded import Encoding
from scoring.explainers.linear import LinearParameters
from scoring.explainers.parameters import write_parameters
from scoring.explainers.tree import TreeParameters
from scoring.manifest import OutputSpec, ReasonsSpec
from scoring.model import Backend
from scoring.parallel import compute
from scoring.records import RecordBatch
from scoring.schema import Schema

_ENCODER: Final = "reasons/encoder.onnx"
_LINEAR: Final = "reasons/linear.json"
_TREE: Final = "reasons/tree.json"

_TREE_RECORDS: Final = 200
"""Records that TreeSHAP is proved on: it may take milliseconds for one."""

_STEADY_RECORDS: Final = 100
_GROUP_RECORDS: Final = 500


@dataclass(frozen=True, slots=True)
class Served:
    """What the bundle serves: the schema, the outputs, and the backend that computes them."""

    schema: Schema
    output: OutputSpec
    backend: Backend
    call_width: int | None


def explain_encoded(
    native: NativeModel, served: Served, batch: RecordBatch, reference: RecordBatch, work: Path
) -> ReasonsSpec:
    """Write the files of the linear or the tree method below work/reasons/, and prove them.

    Raises NotCompilable, NotSeparable, NotProven, BundleError or ModelError, each saying why the
    method cannot be had.
    """
    linear = linear_margin(native.final)
    model = read_ensemble(native.final) if linear is None else linear
    encoder, groups = _encoding(native, served.schema, work)
    encoding = Encoding(None if encoder is None else work / encoder, served.schema, groups)
    check_groups(encoding.encode, groups, spread(batch, _GROUP_RECORDS))
    classes = classes_of(native)
    place = _explained_class(served.output, classes)
    if isinstance(model, TreeEnsemble):
        spec = _tree(model if place is None else of_class(model, place), work)
        batch = spread(batch, _TREE_RECORDS)
        tolerance = sum_tolerance(native.final, len(model.trees))
    else:
        spec = _linear(model if place is None else model.of_class(place), encoding, reference, work)
        tolerance = TOLERANCE
    explains = _explained_columns(served.output, classes, place)
    spec = replace(spec, encoder=encoder, groups=groups, explains=explains)
    margins = _own_margins(native, served.schema, batch, spec.scale, place)
    comparable = spec.scale != "value" or classes is None
    return _proved(spec, served, batch, margins, tolerance, comparable, work)


def _proved(
    spec: ReasonsSpec,
    served: Served,
    batch: RecordBatch,
    margins: NDArray[np.float64],
    tolerance: float,
    comparable: bool,
    work: Path,
) -> ReasonsSpec:
    """The spec with its largest difference to `margins` (records, targets), the model's own, and if
    they are `comparable` with the scores, seen to be what those are made from. Raises NotProven.
    """
    scored = np.flatnonzero(np.isfinite(margins).all(axis=1))
    if not len(scored):
        raise NotProven("the model gives no finite margin")
    batch, margins = batch.take(scored), margins[scored]
    explainer, missing = open_reasons(work, spec, served.schema, served.backend, served.call_width)
    if explainer is None:
        raise NotProven(str(missing))
    difference = prove_sums(explainer, batch, margins.max(axis=1), tolerance)
    if comparable:
        raw = compute(served.backend, batch, served.call_width)
        prove_score(spec.scale, margins, [raw[name] for name in spec.explains])
    prove_steady(explainer, spread(batch, _STEADY_RECORDS))
    return replace(spec, max_difference=difference)


def _encoding(native: NativeModel, schema: Schema, work: Path) -> tuple[str | None, list[int]]:
    graph = compile_encoder(native, schema)  # also says what cannot be encoded
    if native.encoder is None:
        return None, list(range(len(schema.features)))
    onnx.save(graph, str(work / _ENCODER))
    return _ENCODER, feature_groups(native.encoder, schema.names)


def _explained_class(output: OutputSpec, classes: list[Any] | None) -> int | None:
    """The place of the explained one of two classes; None where there are not two."""
    if classes is None or len(classes) != 2:
        return None
    return 1 if output.positive is None else output.raw.index(output.positive)


def _explained_columns(
    output: OutputSpec, classes: list[Any] | None, place: int | None
) -> list[str]:
    if classes is None or len(output.raw) != len(classes):
        return list(output.raw)
    return list(output.raw) if place is None else [output.raw[place]]


def _linear(
    model: LinearMargin, encoding: Encoding, reference: RecordBatch, work: Path
) -> ReasonsSpec:
    if not len(reference):
        raise NotProven("the version carries no training inputs and no example to compare with")
    starts = range(0, len(reference), 4096)
    parts = [encoding.encode(reference.slice(start, start + 4096)) for start in starts]
    means = np.sum([part.sum(axis=0) for part in parts], axis=0) / len(reference)
    if model.weights.shape[1] != len(means):
        raise NotProven("the encoder gives another number of columns than the model takes")
    base = model.bias + model.weights @ means
    parameters = LinearParameters(model.weights.tolist(), means.tolist(), base.tolist())
    write_parameters(work / _LINEAR, parameters)
    detail = f"exact: weights times the distance from the means of known records ({len(reference)})"
    return ReasonsSpec("linear", detail, model.scale, path=_LINEAR)


def _tree(ensemble: TreeEnsemble, work: Path) -> ReasonsSpec:
    model, base = lightgbm_model(ensemble), ensemble.base.tolist()
    write_parameters(work / _TREE, TreeParameters(model, base, ensemble.float32))
    detail = "path-dependent TreeSHAP over the records each tree was grown on"
    return ReasonsSpec("tree", detail, ensemble.scale, path=_TREE)


def _own_margins(
    native: NativeModel, schema: Schema, batch: RecordBatch, scale: Any, place: int | None
) -> NDArray[np.float64]:
    """The model's own margins (records, targets), of two classes those of the explained one."""
    try:
        encoded = native_frame(schema, batch)
        if native.encoder is not None:
            encoded = native.encoder.transform(encoded)
        margins = own_margins(native.final, encoded, scale)
    except Exception as error:  # a library may raise anything
        raise NotProven(f"the model gives no margin: {type(error).__name__}") from error
    if margins.shape[1] == 1 and place == 0:
        return -margins
    return margins[:, [place]] if margins.shape[1] == 2 and place is not None else margins
