"""Choose how a bundle explains its scores: the most exact method that is proved, or none.

In this order: a linear model's contributions in closed form, TreeSHAP for tree ensembles, sampling
for everything else with a numeric output.
"""

import logging
import os
import shutil
from pathlib import Path
from typing import Final

import numpy as np

from bundling.native import NativeModel, NotCompilable, load_native
from bundling.parity.refusals import survivors
from bundling.reasons.encoded import Served, explain_encoded
from bundling.reasons.proof import NotProven, prove_steady, prove_sums, spread
from bundling.reasons.provenance import NotSeparable
from bundling.reasons.sampling_plan import baseline_record, permutations
from bundling.source import ModelSource
from scoring.errors import BundleError, ModelError
from scoring.explainers.parameters import write_parameters
from scoring.explainers.sampling import SamplingParameters, open_sampling
from scoring.manifest import OutputSpec, ReasonsSpec
from scoring.model import Backend
from scoring.outputs import typed_output
from scoring.parallel import compute
from scoring.records import RecordBatch
from scoring.schema import Schema

logger = logging.getLogger(__name__)

_SAMPLING: Final = "reasons/sampling.json"

_SAMPLING_RECORDS: Final = 24
_STEADY_RECORDS: Final = 8
"""Records that sampling is proved on: each costs hundreds of rows, in any of several batches."""


def prepare_reasons(
    source: ModelSource,
    schema: Schema,
    output: OutputSpec,
    backend: Backend,
    call_width: int | None,
    batch: RecordBatch,
    reference: RecordBatch,
    work: Path,
) -> ReasonsSpec:
    """Write the files of the chosen method below work/reasons/ and say what they are.

    `batch` is the parity batch. `reference` has the training inputs that the version carries, else
    its example: the background for means and baselines. Why a better method was not taken is in
    `detail`; a model that cannot be explained is no error. Takes seconds to minutes.
    """
    native: NativeModel | NotCompilable
    try:
        native = load_native(source)
    except NotCompilable as error:
        native = error
    served = Served(schema, output, backend, call_width)
    spec = choose_reasons(native, served, batch, reference, work)
    logger.info("reasons chosen", extra={"method": spec.method, "detail": spec.detail})
    return spec


def choose_reasons(
    native: NativeModel | NotCompilable,
    served: Served,
    batch: RecordBatch,
    reference: RecordBatch,
    work: Path,
) -> ReasonsSpec:
    """`prepare_reasons` of the model itself, or of one of which only the backend is at hand."""
    directory = work / "reasons"
    try:
        directory.mkdir()
        batch = survivors(served.backend, batch)
        if isinstance(native, NotCompilable):
            raise native
        return explain_encoded(native, served, batch, reference, work)
    except (NotCompilable, NotSeparable, NotProven, BundleError, ModelError) as error:
        missed = _told(error, work)
    shutil.rmtree(directory)
    directory.mkdir()
    try:
        return _sampling(served, batch, reference, work, missed)
    except (NotProven, BundleError, ModelError) as error:
        shutil.rmtree(directory)
        told = _told(error, work)
        return ReasonsSpec("none", f"{told}; nor from the model itself: {missed}")


def _told(error: Exception, work: Path) -> str:
    """The error's words for the manifest, which names no directory of the machine."""
    return str(error).replace(f"{work}{os.sep}", "")


def _sampling(
    served: Served, batch: RecordBatch, reference: RecordBatch, work: Path, missed: str
) -> ReasonsSpec:
    schema, backend, width = served.schema, served.backend, served.call_width
    explains = _numeric_outputs(served.output)
    if not explains:
        raise NotProven("the model has no numeric output to explain")
    if not len(reference):
        raise NotProven("the version carries no training inputs and no example to compare with")
    orders = permutations(len(schema.features))
    parameters = SamplingParameters(baseline_record(schema, reference), orders.tolist())
    path = work / _SAMPLING
    write_parameters(path, parameters)
    explainer = open_sampling(path, explains, schema, backend, width)
    proof = spread(batch, _SAMPLING_RECORDS)
    raw = compute(backend, proof, width)
    highest = [typed_output(name, "double", raw[name]) for name in explains]
    difference = prove_sums(explainer, proof, np.max(highest, axis=0))
    prove_steady(explainer, spread(proof, _STEADY_RECORDS))
    return ReasonsSpec(
        "sampling",
        f"approximate: Shapley values from {len(orders)} permutations against one usual record; "
        f"not from the model itself: {missed}",
        "probability" if served.output.kind == "binary" else "value",
        explains,
        path=_SAMPLING,
        max_difference=difference,
    )


def _numeric_outputs(output: OutputSpec) -> list[str]:
    """The raw columns that can be explained."""
    if output.positive is not None:
        return [output.positive]
    typed = zip(output.raw, output.columns, strict=True)
    return [name for name, column in typed if column.type in ("double", "long")]
