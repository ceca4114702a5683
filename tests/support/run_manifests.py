"""Run manifests of batch runs in tests."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from batch_scorer.distribution import Distribution, measured
from batch_scorer.run_manifest import Counts, InputReport, ModelReport, RunManifest
from scoring.records import ModelVersion, RecordBatch, ScoredBatch

UNIT_BINS = [i / 20 for i in range(21)]
BINS = {"score": UNIT_BINS, "outlier_score": UNIT_BINS}
MODEL = ModelReport("toy", "7", "0f3c52a91be4" + "a" * 52, "champion", "b" * 64)


def scored(outputs: Mapping[str, Any], outlier_scores: Any = None) -> ScoredBatch:
    """A batch of these outputs; records are outliers above 0.9."""
    count = len(next(iter(outputs.values())))
    batch = RecordBatch(tuple(str(i) for i in range(count)), ())
    flags = None if outlier_scores is None else outlier_scores > 0.9
    return ScoredBatch(ModelVersion("toy", "7", "d"), batch, outputs, outlier_scores, flags)


def labels(scores: Any, threshold: float = 0.5) -> Any:
    """`Yes` where the score reaches the threshold, else `No`."""
    found = np.empty(len(scores), dtype=object)
    found[:] = "No"
    found[scores >= threshold] = "Yes"
    return found


def distribution(
    seed: int, count: int, shape: float = 2.0, bins: Mapping[str, Sequence[float]] = BINS
) -> dict[str, Distribution]:
    """Of a binary model with a detector; the scores' mean grows with `shape`."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(shape, 5, count)
    outputs = {"score": scores, "label": labels(scores)}
    return measured(bins, scored(outputs, rng.beta(4, 8, count)))


def input_report(file: str, **told: Any) -> InputReport:
    """One file, of 100 records that were all scored if nothing else is told."""
    plain: dict[str, Any] = {
        "url": f"file:///in/{file}",
        "size": 1000,
        "etag": "e",
        "received": 100,
        "scored": 100,
        "rejected": 0,
        "seconds": 1.0,
    }
    return InputReport(file=file, **{**plain, **told})


def run_manifest(run_id: str = "2026-11-23", **told: Any) -> RunManifest:
    """A complete run of 1,000 records of which two were rejected, if nothing else is told."""
    plain: dict[str, Any] = {
        "format": 2,
        "outcome": "complete",
        "model": MODEL,
        "record_id_column": "record_id",
        "chunk_records": 65_536,
        "reasons": 3,
        "event_time": "2026-11-23T00:00:00+00:00",
        "started_at": "2026-11-23T01:00:00+00:00",
        "finished_at": "2026-11-23T01:12:05.250000+00:00",
        "seconds": 725.25,
        "totals": Counts(1002, 1000, 2),
        "rejections": {"missing_field": 1, "wrong_type": 1},
        "bins": BINS,
        "distribution": distribution(0, 1000),
        "inputs": [input_report("a.csv", received=1002, scored=1000, rejected=2)],
    }
    return RunManifest(run_id=run_id, **{**plain, **told})
