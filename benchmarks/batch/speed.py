"""Rows per second and memory over one Parquet file, beside the model's raw speed and others."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.batch.bench import CPUS, Bench, Timed, batch_command, say, timed
from benchmarks.batch.raw import SECONDS
from benchmarks.batch.workforce import write_csv, write_parquet
from benchmarks.online.report import Bar, at_least, at_most, beside

RAW_RATIO: Final = 0.8
PREDICT_RATIO: Final = 5.0
CSV_RATIO: Final = 0.5
PEAK_BYTES: Final = 700_000_000
PEAK_RATIO: Final = 1.1
PREDICT_ROWS: Final = 1_000_000
"""As many as `mlflow models predict` holds in memory at once."""


def run(bench: Bench) -> Iterator[Bar]:
    """Large and small Parquet, CSV, raw speed and two peers, one after the other."""
    root = bench.directory("speed")
    large, small = _parquet(bench, bench.rows), _parquet(bench, bench.few_rows)
    few = _scored(bench, small, root / "few")
    raw = _raw(bench, small)
    many = _scored(bench, large, root / "many")
    raw = max(raw, _raw(bench, small))
    said = f"{many.speed(bench.rows):,.0f} of {raw:,.0f} rows/s, {many.seconds:.1f} s"
    yield at_least(
        "Parquet, beside the model in memory", many.speed(bench.rows) / raw, said, RAW_RATIO
    )
    yield _peak(many, bench.rows)
    said = f"{many.peak_bytes / 1e6:,.0f} and {few.peak_bytes / 1e6:,.0f} MB"
    ratio = many.peak_bytes / few.peak_bytes
    yield at_most(f"peak memory beside that at {bench.few_rows:,} rows", ratio, said, PEAK_RATIO)
    yield from _csv(bench, root, many)
    yield from _peers(bench, root, many)


def _csv(bench: Bench, root: Path, parquet: Timed) -> Iterator[Bar]:
    path = bench.data / f"{bench.rows}.csv"
    write_csv(path, bench.rows)
    found = _scored(bench, path, root / "csv")
    said = f"{found.speed(bench.rows):,.0f} rows/s, peak {found.peak_bytes / 1e6:,.0f} MB"
    ratio = parquet.seconds / found.seconds
    yield at_least("CSV of the same rows, beside Parquet", ratio, said, CSV_RATIO)
    different = _differences(root / "many", root / "csv")
    yield Bar(
        "scores of CSV that differ from those of Parquet", f"{different:,}", "none", not different
    )
    shutil.rmtree(root / "csv")


def _peers(bench: Bench, root: Path, ours: Timed) -> Iterator[Bar]:
    speed, model = ours.speed(bench.rows), str(bench.bundle / "model")
    rows = min(bench.rows, PREDICT_ROWS)
    path = bench.data / f"{rows}.csv"
    write_csv(path, rows)
    say("mlflow models predict")
    scripts = Path(sys.executable).parent
    command = [
        str(scripts / "mlflow"), "models", "predict", "-m", model, "-i", str(path), "-t", "csv",
        "-o", str(root / "predicted.json"), "--env-manager", "local",
    ]  # fmt: skip
    environment = {"PATH": f"{scripts}:{os.environ['PATH']}"}
    found = timed(command, root / "predict.log", environment)
    said = f"{found.speed(rows):,.0f} rows/s at {rows:,} rows, {found.peak_bytes / 1e9:.1f} GB"
    yield at_least("mlflow models predict", speed / found.speed(rows), said, PREDICT_RATIO)
    say("spark_udf")
    command = [
        sys.executable, "-m", "benchmarks.batch.spark_udf", model,
        str(_parquet(bench, bench.rows)), str(root / "spark"), str(CPUS),
    ]  # fmt: skip
    found = timed(command, root / "spark.log")
    said = f"{found.speed(bench.rows):,.0f} rows/s, local[{CPUS}]"
    yield beside("PySpark, mlflow.pyfunc.spark_udf", speed / found.speed(bench.rows), said)


def _parquet(bench: Bench, rows: int) -> Path:
    path = bench.data / f"{rows}.parquet"
    write_parquet(path, rows)
    return path


def _scored(bench: Bench, source: Path, root: Path) -> Timed:
    say(f"trilane batch, {source.name}")
    root.mkdir()
    return timed(batch_command(bench, source, root), root / "log")


def _raw(bench: Bench, file: Path) -> float:
    say(f"raw speed, {SECONDS:g} s")
    command = [sys.executable, "-m", "benchmarks.batch.raw", str(bench.bundle), str(file)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _peak(found: Timed, rows: int) -> Bar:
    megabytes = f"{found.peak_bytes / 1e6:,.0f} MB at {rows:,} rows"
    bar = f"below {PEAK_BYTES / 1e6:,.0f} MB"
    return Bar("peak memory", megabytes, bar, found.peak_bytes < PEAK_BYTES)


def _differences(first: Path, second: Path) -> int:
    """Rows whose scores are not the same bits, or that one of the two lacks."""
    import pyarrow.parquet as pq

    ones, others = (sorted(p.glob("out/run=r/scores/*.parquet")) for p in (first, second))
    if len(ones) != len(others):
        return -1
    count = 0
    for one, other in zip(ones, others, strict=True):
        a, b = pq.read_table(one).drop(["file"]), pq.read_table(other).drop(["file"])
        count += 0 if a.equals(b) else max(a.num_rows, b.num_rows)
    return count
