"""Scored batches that no model computed, for part files, and what their bytes are elsewhere.

`python -m tests.support.batch_parts FORMAT CPUS DIRECTORY` prints the digest of one such part.
"""

import hashlib
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batch_scorer.delivery.parts import OutputFormat, PartEncoder
from scoring.manifest import OutputColumn, OutputSpec
from scoring.model import ModelBundle
from scoring.outputs import OUTPUT_DTYPES
from scoring.records import Reasons, RecordBatch, Rejection, RejectionCode, ScoredBatch, Violation
from tests.support.toy import load_toy

EVERY_TYPE = (
    OutputColumn("value", "double"),
    OutputColumn("count", "long"),
    OutputColumn("sure", "boolean"),
    OutputColumn("class", "string"),
)


def with_outputs(model: ModelBundle, outputs: Sequence[OutputColumn]) -> ModelBundle:
    """The model with other outputs; it cannot score."""
    spec = OutputSpec("columns", [c.name for c in outputs], list(outputs))
    return replace(model, manifest=msgspec.structs.replace(model.manifest, output=spec))


def scored_batch(
    model: ModelBundle,
    outputs: Mapping[str, Sequence[Any]],
    ids: Sequence[str] | None = None,
    outlier_scores: Sequence[float] | None = None,
    reasons: Reasons | None = None,
) -> ScoredBatch:
    """Records of these outputs, the outliers above 0.95."""
    types = {c.name: OUTPUT_DTYPES[c.type] for c in model.output_columns}
    columns = {name: np.array(values, dtype=types[name]) for name, values in outputs.items()}
    count = len(next(iter(columns.values())))
    anomaly = None if outlier_scores is None else np.array(outlier_scores, dtype=np.float64)
    return ScoredBatch(
        model.version,
        RecordBatch(tuple(ids if ids is not None else map(str, range(1, count + 1))), ()),
        columns,
        anomaly,
        None if anomaly is None else anomaly > 0.95,
        reasons,
    )


def many(model: ModelBundle, count: int) -> ScoredBatch:
    """Records of `EVERY_TYPE` with outlier scores and two reasons each."""
    rng = np.random.default_rng(0)
    places = np.argsort(rng.random((count, 4)), axis=1)[:, :2]
    outputs = {
        "value": rng.normal(size=count).tolist(),
        "count": rng.integers(0, 9, count).tolist(),
        "sure": (rng.random(count) < 0.5).tolist(),
        "class": rng.choice(["low", "high", "none"], count).tolist(),
    }
    reasons = Reasons(model.schema.names, places, rng.normal(size=(count, 2)))
    return scored_batch(model, outputs, None, rng.random(count).tolist(), reasons)


def rejection(row: int, record_id: str | None = None, rule: str = "is required") -> Rejection:
    """A row that was rejected."""
    return Rejection(row, record_id, (Violation("x", RejectionCode.MISSING_FIELD, rule),))


def parquet(part: bytes) -> pa.Table:
    """A part as a table."""
    return pq.read_table(io.BytesIO(part))


def digest(model: ModelBundle, output_format: OutputFormat) -> str:
    """Of a part of `many` records."""
    every = with_outputs(model, EVERY_TYPE)
    part = PartEncoder(every, output_format, True).scores(
        "a.csv", range(1, 9001), many(every, 9000)
    )
    return hashlib.sha256(part).hexdigest()


def main(output_format: OutputFormat, cpus: int, directory: Path) -> None:
    """Print the digest."""
    pa.set_cpu_count(cpus)
    print(digest(load_toy(directory / "bundle", reference=0), output_format))


if __name__ == "__main__":
    main("csv" if sys.argv[1] == "csv" else "parquet", int(sys.argv[2]), Path(sys.argv[3]))
