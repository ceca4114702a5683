"""The only place where scoring happens.

Identical scores in every lane need more than identical code: a model's result for a record may
depend in its last bits on how many records share the call. A backend therefore either was seen to
be indifferent to the batch size (packaging proves it on the parity set), or is always called with
exactly `call_width` rows.
"""

from collections.abc import Mapping

import numpy as np

from scoring.errors import ModelError
from scoring.manifest import OutputSpec
from scoring.model import OUTLIER, ModelBundle
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
    ModelError when the model fails or returns a number that is not finite, ReasonsUnavailable.
    """
    if len(batch) == 0:
        return _nothing(model, batch, reasons)
    raw = compute(model.backend, batch, model.manifest.backend.call_width, model.workers)
    try:
        outputs = _outputs(model.manifest.output, raw)
    except (TypeError, ValueError, OverflowError) as error:  # NumPy's words may quote the value
        raise ModelError(f"the model returned no usable value: {type(error).__name__}") from None
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
    rejections = [
        Rejection(int(valid.positions[i]), valid.batch.record_ids[i], (_MODEL_FAILED,))
        for i in failed
    ]
    everything = sorted([*valid.rejections, *rejections], key=lambda r: r.position)
    return score(model, valid.batch.take(good), reasons), tuple(everything)


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
    dtypes: dict[str, type] = {
        "double": np.float64,
        "long": np.int64,
        "boolean": np.bool_,
        "string": np.object_,
    }
    outputs: dict[str, Column] = {c.name: np.empty(0, dtypes[c.type]) for c in model.output_columns}
    explained = no_reasons(model, reasons) if reasons else None
    if model.outlier is None:
        return ScoredBatch(model.version, batch, outputs, None, None, explained)
    return ScoredBatch(model.version, batch, outputs, np.empty(0), np.empty(0, bool), explained)


def _outputs(spec: OutputSpec, raw: Mapping[str, Column]) -> dict[str, Column]:
    for name in spec.raw:
        if name not in raw:
            raise ModelError(f"the model returned no column '{name}'")
    if spec.kind == "binary" and spec.positive is not None:
        scores = _finite("score", raw[spec.positive].astype(np.float64))
        labels = np.empty(len(scores), dtype=object)
        labels[:] = spec.negative
        labels[scores >= (0.5 if spec.threshold is None else spec.threshold)] = spec.positive
        return {"score": scores, "label": labels}
    return {
        column.name: _typed(column.name, column.type, raw[name])
        for column, name in zip(spec.columns, spec.raw, strict=True)
    }


def _typed(name: str, kind: str, values: Column) -> Column:
    if kind == "double":
        return _finite(name, values.astype(np.float64))
    if kind == "long":
        return values.astype(np.int64)
    if kind == "boolean":
        return values.astype(np.bool_)
    text = np.empty(len(values), dtype=object)
    text[:] = [str(v) for v in values]
    return text


def _finite(name: str, values: Column) -> Column:
    if not bool(np.isfinite(values).all()):
        raise ModelError(f"the model returned a value of '{name}' that is not a finite number")
    return values
