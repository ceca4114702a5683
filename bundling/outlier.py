"""The outlier detector of a registered version, compiled, compared and calibrated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from bundling.config import ModelEntry
from bundling.graphs.outlier import isolation_forest_graph
from bundling.parity.proof import TOLERANCE, call_width, largest_difference
from bundling.source import ModelSource, describe_outlier
from scoring.backends.onnx import OnnxOutlierDetector, matrix
from scoring.errors import BundleError, ConfigurationError
from scoring.manifest import OutlierSpec
from scoring.model import OUTLIER
from scoring.parallel import compute
from scoring.records import Column, RecordBatch
from scoring.schema import Schema
from scoring.validation import validate_rows


@dataclass(frozen=True, slots=True)
class CompiledOutlier:
    """What the manifest says of the detector, and its largest difference to scikit-learn's."""

    spec: OutlierSpec
    max_difference: float


def compile_outlier(
    source: ModelSource,
    schema: Schema,
    entry: ModelEntry,
    batch: RecordBatch,
    reference: Sequence[Mapping[str, Any]],
    work: Path,
) -> CompiledOutlier | None:
    """Write outlier.onnx; None for a version without a detector.

    The threshold is the one that flags the stated share of the `reference` rows: that of
    models.json, else that of outlier.json. Where there are no such rows or no share is stated it is
    the detector's own. Raises BundleError when the detector is no IsolationForest or the graph
    disagrees with it, ConfigurationError when models.json states a share that nothing can be
    measured by.
    """
    if entry.outlier_share is not None and (source.outlier is None or not reference):
        raise ConfigurationError(
            f"models.json: {entry.name}: outlier_share needs a version that carries an outlier "
            "detector and a reference"
        )
    if source.outlier is None:
        return None
    described = describe_outlier(source.outlier)
    forest = _load(source.outlier)
    onnx.save(isolation_forest_graph(forest), str(work / "outlier.onnx"))
    detector = OnnxOutlierDetector(work / "outlier.onnx", schema, described.features)
    numbers = _frame(batch, schema, described.features)
    expected = {OUTLIER: -forest.score_samples(numbers)}
    difference = largest_difference(expected, detector.compute(batch))
    if difference > TOLERANCE:
        raise BundleError(f"the compiled outlier detector differs by {difference:.1e}")
    width = call_width(detector, batch)
    known = validate_rows(schema, reference, [str(i) for i in range(len(reference))]).batch
    scores = compute(detector, known, width)[OUTLIER] if len(known) else None
    stated = described.share if entry.outlier_share is None else entry.outlier_share
    threshold = -float(forest.offset_)
    if scores is not None and stated is not None:
        threshold = calibrated(scores, stated)
    spec = OutlierSpec(
        "outlier.onnx",
        described.features,
        threshold,
        width,
        None if scores is None else stated,
        None if scores is None else float(np.mean(scores > threshold)),
    )
    return CompiledOutlier(spec, difference)


def calibrated(scores: Column, share: float) -> float:
    """The threshold above which as many of the scores lie as the share allows, and no more.

    `scores` is float64 of shape (records,) and not empty; 0 < share < 1. Equal scores are flagged
    together or not at all, so ties may leave fewer above it. It lies half-way between two scores
    that differ, where one unit in the last place decides nothing.
    """
    falling = np.sort(scores)[::-1]
    allowed = int(np.floor(share * len(scores) + 1e-9))  # 0.29 * 100 is a bit less than 29
    below = float(falling[allowed])
    above = falling[:allowed][falling[:allowed] > below]
    middle = (below + float(above[-1])) / 2 if len(above) else below
    return middle if not len(above) or middle < above[-1] else below


def _frame(batch: RecordBatch, schema: Schema, features: list[str]) -> Any:
    import pandas as pd

    numbers = matrix(batch, [schema.index(name) for name in features], np.dtype(np.float64))
    return pd.DataFrame(numbers, columns=features)


def _load(directory: Path) -> Any:
    import mlflow.sklearn
    from sklearn.ensemble import IsolationForest

    forest = mlflow.sklearn.load_model(str(directory))
    if not isinstance(forest, IsolationForest):
        raise BundleError(f"{directory} holds no IsolationForest")
    return forest
