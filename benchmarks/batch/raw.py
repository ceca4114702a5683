"""The model's raw speed: `score` on records that are in memory, typed and valid."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from benchmarks.batch.bench import CPUS
from scoring.bundles import champion_path
from scoring.model_loader import load_model
from scoring.records import RecordBatch
from scoring.score import score
from scoring.validation import validate_columns
from training.data import ID

CHUNK: Final = 65_536
SECONDS: Final = 10.0


def main() -> int:
    """`python -m benchmarks.batch.raw BUNDLE FILE`: prints records per second."""
    bundle, file = map(Path, sys.argv[1:])
    model = load_model(champion_path(bundle), datetime.now(UTC), threads=CPUS)
    batches: list[RecordBatch] = []
    for part in pq.ParquetFile(file).iter_batches(CHUNK):
        columns = {n: part[n].to_pylist() for n in model.schema.names}
        ids = [str(i) for i in part[ID].to_pylist()]
        batches.append(validate_columns(model.schema, columns, ids).batch)
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        for batch in batches:
            score(model, batch)
            count += len(batch)
    print(count / (time.perf_counter() - began))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
