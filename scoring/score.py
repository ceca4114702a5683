"""The only place where scoring happens.

Identical scores in every lane need more than identical code: a model's result for a record may
depend in its last bits on how many records share the call. A backend therefore either was seen to
be indifferent to the batch size (packaging proves it on the parity set), or is always called with
exactly `call_width` rows.
"""

import numpy as np

from scoring.errors import ModelError
from scoring.model import OUTLIER, ModelBundle
from scoring.outputs import OUTPUT_DTYPES, model_outputs
from scoring.parallel import compute
from scoring.reasons import no_reasons, top_reasons
from scoring.records import (
    Column,
    RecordBatch,
    Rejection,
    RejectionCode,
    ScoredBatch,
    Validated,
    Violation,
)

_MODEL_FAILED = Violation(None, RejectionCode.MODEL_ERROR, "the model failed on this record")


def score(model: ModelBundle, batch: RecordBatch, reasons: int = 0) -> ScoredBatch:
    """Score a batch of any size, including none. The same record gets the same bits in any batch.

    With `reasons` above 0 each record carries that many, or as many as it has features. Raises
    ModelError when the model fails or returns something else than it promised, a null or a number
    that is not finite; ReasonsUnavailable.
    """
    if len(batch) == 0:
        return _nothing(model, batch, reasons)
    raw = compute(model.backend, batch, model.manifest.backend.call_width, model.workers)
    outputs = model_outputs(model.manifest.output, raw)
    explained = top_reasons(model, batch, reasons) if reasons else None
    spec = model.manifest.outlier
    if model.outlier is None or spec is None:
        return ScoredBatch(model.version, batch, outputs, None, None, explained)
    anomaly = compute(model.outlier, batch, spec.call_width, model.workers)[OUTLIER]
    return ScoredBatch(model.version, batch, outputs, anomaly, anomaly > spec.threshold, explained)


def score_valid(
    model: ModelBundle, valid: Validated, reasons: int = 0
) -> tuple[ScoredBatch, tuple[Rejection, ...]]:
    """Score what validation let through; a record the model fails on is rejected alone.

    Returns the scored records and all rejections, validation's and the model's, by position:
    together they are every record that was received. Raises ReasonsUnavailable.
    """
    try:
        return score(model, valid.batch, reasons), valid.rejections
    except ModelError:
        failed = _failing(model, valid.batch, 0, reasons)
    good = sorted(set(range(len(valid.batch))) - set(failed))
    try:
        scored = score(model, valid.batch.take(good), reasons)
    except ModelError:  # fails on some together and on none of them alone: no score is sure
        failed = list(range(len(valid.batch)))
        scored = score(model, valid.batch.slice(0, 0), reasons)
    rejections = [
        Rejection(int(valid.positions[i]), valid.batch.record_ids[i], (_MODEL_FAILED,))
        for i in failed
    ]
    everything = sorted([*valid.rejections, *rejections], key=lambda r: r.position)
    return scored, tuple(everything)


def _failing(model: ModelBundle, batch: RecordBatch, offset: int, reasons: int) -> list[int]:
    """Positions of the records the model fails on, found by halving the batch."""
    try:
        score(model, batch, reasons)
    except ModelError:
        if len(batch) == 1:
            return [offset]
        half = len(batch) // 2
        return [
            *_failing(model, batch.slice(0, half), offset, reasons),
            *_failing(model, batch.slice(half, len(batch)), offset + half, reasons),
        ]
    return []


def _nothing(model: ModelBundle, batch: RecordBatch, reasons: int) -> ScoredBatch:
    outputs: dict[str, Column] = {
        c.name: np.empty(0, OUTPUT_DTYPES[c.type]) for c in model.output_columns
    }
    explained = no_reasons(model, reasons) if reasons else None
    if model.outlier is None:
        return ScoredBatch(model.version, batch, outputs, None, None, explained)
    return ScoredBatch(model.version, batch, outputs, np.empty(0), np.empty(0, bool), explained)
