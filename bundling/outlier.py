"""The outlier detector of a registered version, compiled and compared."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from bundling.outlier_graph import isolation_forest_graph
from bundling.parity import TOLERANCE, call_width, largest_difference
from bundling.source import ModelSource, outlier_features
from scoring.backends.onnx import OnnxOutlierDetector, matrix
from scoring.errors import BundleError
from scoring.manifest import OutlierSpec
from scoring.model import OUTLIER
from scoring.records import RecordBatch
from scoring.schema import Schema


@dataclass(frozen=True, slots=True)
class CompiledOutlier:
    """What the manifest says of the detector, and its largest difference to scikit-learn's."""

    spec: OutlierSpec
    max_difference: float


def compile_outlier(
    source: ModelSource, schema: Schema, batch: RecordBatch, work: Path
) -> CompiledOutlier | None:
    """Write outlier.onnx; None for a version without a detector.

    Raises BundleError when the detector is no IsolationForest or the graph disagrees with it.
    """
    if source.outlier is None:
        return None
    forest = _load(source.outlier)
    features = outlier_features(source.outlier)
    threshold = -float(forest.offset_)
    onnx.save(isolation_forest_graph(forest), str(work / "outlier.onnx"))
    detector = OnnxOutlierDetector(work / "outlier.onnx", schema, features)
    numbers = _frame(batch, schema, features)
    expected = {OUTLIER: -forest.score_samples(numbers)}
    difference = largest_difference(expected, detector.compute(batch))
    if difference > TOLERANCE:
        raise BundleError(f"the compiled outlier detector differs by {difference:.1e}")
    width = call_width(detector, batch)
    return CompiledOutlier(OutlierSpec("outlier.onnx", features, threshold, width), difference)


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
