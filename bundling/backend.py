"""Choose how a bundle computes its scores: compiled where that is proved equal, else pyfunc."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import onnx

from bundling.config import ModelEntry
from bundling.graphs.model import compile_model
from bundling.graphs.writer import FloatType, select_output
from bundling.native import NativeModel, NotCompilable, classes_of, load_native
from bundling.outputs import output_spec
from bundling.parity.known_values import with_known_categories
from bundling.parity.proof import PYFUNC_CALLS, TOLERANCE, call_width, largest_difference
from bundling.parity.refusals import computes, refused_nulls, survivors, without_nulls
from bundling.source import ModelSource
from scoring.backends.onnx import OnnxBackend
from scoring.backends.pyfunc import PyfuncBackend, call_pyfunc, open_pyfunc, raw_names
from scoring.errors import BundleError, ModelError
from scoring.manifest import BackendSpec, OutputSpec
from scoring.records import Column, RecordBatch
from scoring.schema import Schema

logger = logging.getLogger(__name__)

_NAMES: Mapping[FloatType, str] = {"double": "float64", "float": "float32"}


@dataclass(frozen=True, slots=True)
class ChosenBackend:
    """The backend, the outputs, and what was measured against the registered model."""

    spec: BackendSpec
    output: OutputSpec
    parity_records: int
    max_difference: float


@dataclass(frozen=True, slots=True, eq=False)
class _Proof:
    """What a compiled graph has to show: the registered model's scores of `batch`, and that it
    scores none of `refused`, which the registered model does not. `refused_nulls` are the optional
    features in which that takes no null.
    """

    schema: Schema
    batch: RecordBatch
    expected: Mapping[str, Column]
    refused: RecordBatch
    refused_nulls: list[str]


def choose_backend(
    source: ModelSource, schema: Schema, entry: ModelEntry, batch: RecordBatch, work: Path
) -> ChosenBackend:
    """Compile to work/model.onnx if the scores are reproduced, in float64 or else float32.

    Raises BundleError when the registered model itself scores nothing or is not repeatable,
    ConfigurationError when `positive_label` does not fit it.
    """
    native, reason = _native(source)
    names = raw_names(_trial(source, schema, batch), _classes(source, native))
    registered = PyfuncBackend(source.directory, schema, names)
    if native is not None:
        batch = with_known_categories(native.estimator, schema, batch)
    proof = _proof(registered, schema, batch)
    output = output_spec(entry, names, proof.expected)
    if native is not None:
        compiled, reason = _candidates(native, proof, work)
        if compiled:
            spec, difference = _best(compiled, work)
            return ChosenBackend(spec, output, len(proof.batch), difference)
    width = call_width(registered, proof.batch, PYFUNC_CALLS)
    path = source.directory.relative_to(work).as_posix()
    spec = BackendSpec("pyfunc", path, call_width=width, reason=reason)
    return ChosenBackend(spec, output, len(proof.batch), 0.0)


def _native(source: ModelSource) -> tuple[NativeModel | None, str]:
    try:
        return load_native(source), ""
    except NotCompilable as error:
        return None, str(error)


def _classes(source: ModelSource, native: NativeModel | None) -> list[str] | None:
    """The names of a classifier's columns: as the version says, else as the classifier does."""
    if source.classes is not None or native is None:
        return source.classes
    classes = classes_of(native)
    return None if classes is None else [str(label) for label in classes]


def _trial(source: ModelSource, schema: Schema, batch: RecordBatch) -> object:
    try:
        return call_pyfunc(open_pyfunc(source.directory), schema, batch.slice(0, 1))
    except ModelError as error:
        raise BundleError(f"the model cannot score its own example: {error}") from error


def _proof(registered: PyfuncBackend, schema: Schema, batch: RecordBatch) -> _Proof:
    """A null that is refused alone is taken to be refused in company: such records are not tried,
    as there may be many, and a graph is made to refuse them.
    """
    nulls = refused_nulls(registered, schema, batch)
    tried = without_nulls(schema, batch, nulls).nonzero()[0]
    try:
        scored = survivors(registered, batch.take(tried))
    except ModelError as error:
        raise BundleError(f"the model cannot score its own example: {error}") from error
    kept = set(scored.record_ids)
    refused = [i for i, name in enumerate(batch.record_ids) if name not in kept]
    expected = registered.compute(scored)
    return _Proof(schema, scored, expected, batch.take(refused), nulls)


@dataclass(frozen=True, slots=True)
class _Compiled:
    path: Path
    float_type: FloatType
    call_width: int | None
    difference: float


def _candidates(native: NativeModel, proof: _Proof, work: Path) -> tuple[list[_Compiled], str]:
    """Graphs that reproduce the scores, float64 first, and in words why others do not."""
    compiled: list[_Compiled] = []
    reasons: dict[str, list[str]] = {}
    for float_type in get_args(FloatType):
        try:
            compiled.append(_compiled(native, proof, float_type, work))
        except NotCompilable as error:
            reasons.setdefault(str(error), []).append(_NAMES[float_type])
            continue
        if compiled[-1].call_width is None:
            break
    if len(reasons) == 1:
        return compiled, next(iter(reasons))
    told = [f"in {' and '.join(types)} {reason}" for reason, types in reasons.items()]
    return compiled, "; ".join(told)


def _best(compiled: list[_Compiled], work: Path) -> tuple[BackendSpec, float]:
    best = min(compiled, key=lambda candidate: candidate.call_width or 0)
    best.path.rename(work / "model.onnx")
    for other in compiled:
        other.path.unlink(missing_ok=True)
    spec = BackendSpec("onnx", "model.onnx", best.float_type, best.call_width)
    return spec, best.difference


def _compiled(native: NativeModel, proof: _Proof, float_type: FloatType, work: Path) -> _Compiled:
    """Write a graph and compare it with the registered model. Raises NotCompilable."""
    graph = compile_model(native, proof.schema, float_type, proof.refused_nulls)
    path = work / f"model-{float_type}.onnx"
    closest = float("inf")
    for output in graph.graph.output:
        onnx.save(select_output(graph, output.name), str(path))
        try:
            backend = OnnxBackend(path, proof.schema, list(proof.expected), float_type)
            difference = largest_difference(proof.expected, backend.compute(proof.batch))
        except (BundleError, ModelError):
            continue
        closest = min(closest, difference)
        if difference > TOLERANCE:
            continue
        if any(computes(backend, one) for one in _one_by_one(proof.refused)):
            path.unlink()
            raise NotCompilable("the graph scores records that the registered model refuses")
        return _Compiled(path, float_type, call_width(backend, proof.batch), difference)
    path.unlink(missing_ok=True)
    if closest == float("inf"):
        raise NotCompilable("ONNX Runtime cannot run the graph, or it gives other outputs")
    raise NotCompilable(f"the graph's scores differ by {closest:.1e}")


def _one_by_one(batch: RecordBatch) -> list[RecordBatch]:
    return [batch.slice(i, i + 1) for i in range(len(batch))]
