"""Choose how a bundle computes its scores: compiled where that is proved equal, else pyfunc."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import onnx

from bundling.compile import FloatType, NotCompilable, compile_sklearn, select_output
from bundling.config import ModelEntry
from bundling.outputs import output_spec
from bundling.parity import (
    TOLERANCE,
    call_width,
    largest_difference,
    steady_call_width,
    survivors,
)
from bundling.source import ModelSource
from scoring.backends.onnx import OnnxBackend
from scoring.backends.pyfunc import PyfuncBackend, call_pyfunc, open_pyfunc, raw_names
from scoring.errors import BundleError, ModelError
from scoring.manifest import BackendSpec, OutputSpec
from scoring.records import Column, RecordBatch
from scoring.schema import Schema

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChosenBackend:
    """The backend, the outputs, and what was measured against the registered model."""

    spec: BackendSpec
    output: OutputSpec
    parity_records: int
    max_difference: float


def choose_backend(
    source: ModelSource, schema: Schema, entry: ModelEntry, batch: RecordBatch, work: Path
) -> ChosenBackend:
    """Compile to work/model.onnx if the scores are reproduced, in float64 or else float32.

    Raises BundleError when the registered model itself scores nothing or is not repeatable,
    ConfigurationError when `positive_label` does not fit it.
    """
    names = raw_names(_trial(source, schema, batch), source.classes)
    registered = PyfuncBackend(source.directory, schema, names)
    try:
        batch = survivors(registered, batch)
    except ModelError as error:
        raise BundleError(f"the model cannot score its own example: {error}") from error
    expected = registered.compute(batch)
    output = output_spec(entry, names, expected)
    compiled, reasons = _candidates(source, schema, batch, expected, work)
    if compiled:
        best = min(compiled, key=lambda candidate: candidate.call_width or 0)
        best.path.rename(work / "model.onnx")
        for other in compiled:
            other.path.unlink(missing_ok=True)
        spec = BackendSpec("onnx", "model.onnx", best.float_type, best.call_width)
        return ChosenBackend(spec, output, len(batch), best.difference)
    width = steady_call_width(registered, batch)
    path = source.directory.relative_to(work).as_posix()
    spec = BackendSpec("pyfunc", path, call_width=width, reason="; ".join(reasons))
    return ChosenBackend(spec, output, len(batch), 0.0)


@dataclass(frozen=True, slots=True)
class _Compiled:
    path: Path
    float_type: FloatType
    call_width: int | None
    difference: float


def _candidates(
    source: ModelSource,
    schema: Schema,
    batch: RecordBatch,
    expected: Mapping[str, Column],
    work: Path,
) -> tuple[list[_Compiled], list[str]]:
    """Graphs that reproduce the scores, float64 first, and why others do not."""
    if "sklearn" not in source.flavors:
        return [], ["only scikit-learn models are compiled"]
    compiled: list[_Compiled] = []
    reasons: list[str] = []
    for float_type in get_args(FloatType):
        try:
            compiled.append(_compiled(source, schema, batch, expected, float_type, work))
        except NotCompilable as error:
            reasons.append(f"{float_type}: {error}")
            continue
        if compiled[-1].call_width is None:
            break
    return compiled, reasons


def _trial(source: ModelSource, schema: Schema, batch: RecordBatch) -> object:
    try:
        return call_pyfunc(open_pyfunc(source.directory), schema, batch.slice(0, 1))
    except ModelError as error:
        raise BundleError(f"the model cannot score its own example: {error}") from error


def _compiled(
    source: ModelSource,
    schema: Schema,
    batch: RecordBatch,
    expected: Mapping[str, Column],
    float_type: FloatType,
    work: Path,
) -> _Compiled:
    """Write a graph and compare it with the registered model. Raises NotCompilable."""
    graph = compile_sklearn(source.directory, schema, float_type)
    path = work / f"model-{float_type}.onnx"
    closest = float("inf")
    for name in [output.name for output in graph.graph.output]:
        onnx.save(select_output(graph, name), str(path))
        try:
            backend = OnnxBackend(path, schema, list(expected), float_type)
            difference = largest_difference(expected, backend.compute(batch))
        except (BundleError, ModelError):
            continue
        closest = min(closest, difference)
        if difference > TOLERANCE:
            continue
        return _Compiled(path, float_type, call_width(backend, batch), difference)
    path.unlink(missing_ok=True)
    if closest == float("inf"):
        raise NotCompilable("ONNX Runtime cannot run the graph, or no output matches")
    raise NotCompilable(f"the graph's scores differ by {closest:.1e}")
