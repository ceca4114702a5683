"""Rows per second and memory over one Parquet file, beside the model's raw speed and others."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow.compute as pc

from benchmarks.batch.bench import CPUS, Bench, batch_command, timed
from benchmarks.batch.raw import SECONDS
from benchmarks.batch.workforce import write_csv, write_parquet
from benchmarks.online.report import Bar, at_least, at_most, beside
from benchmarks.sections import say
from scoring.manifest import MANIFEST_NAME, encode_manifest, read_manifest, sealed
from tests.support.measured import Measured

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


def _csv(bench: Bench, root: Path, parquet: Measured) -> Iterator[Bar]:
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


def _peers(bench: Bench, root: Path, ours: Measured) -> Iterator[Bar]:
    """Peers give the label and the probabilities; the shipped bundle finds outliers besides, which
    is most of its time. So they stand beside both: all of it, and the same work.
    """
    plain = _without_detector(bench.bundle, root / "bundle")
    same_work = _scored(bench, _parquet(bench, bench.rows), root / "plain", plain)
    speeds = {"": ours.speed(bench.rows), ", the same work": same_work.speed(bench.rows)}
    said = f"{speeds[', the same work']:,.0f} rows/s"
    yield beside("without outliers, beside all", speeds[", the same work"] / speeds[""], said)
    model = str(bench.bundle / "model")
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
    for name, speed in speeds.items():
        what = f"mlflow models predict{name}"
        yield at_least(what, speed / found.speed(rows), said, PREDICT_RATIO)
    say("spark_udf")
    command = [
        sys.executable, "-m", "benchmarks.batch.spark_udf", model,
        str(_parquet(bench, bench.rows)), str(root / "spark"), str(CPUS),
    ]  # fmt: skip
    found = timed(command, root / "spark.log")
    said = f"{found.speed(bench.rows):,.0f} rows/s, local[{CPUS}]"
    for name, speed in speeds.items():
        what = f"PySpark, mlflow.pyfunc.spark_udf{name}"
        yield beside(what, speed / found.speed(bench.rows), said)


def _parquet(bench: Bench, rows: int) -> Path:
    path = bench.data / f"{rows}.parquet"
    write_parquet(path, rows)
    return path


def _scored(bench: Bench, source: Path, root: Path, bundle: Path | None = None) -> Measured:
    say(f"trilane batch, {source.name}")
    root.mkdir()
    return timed(batch_command(bundle or bench.bundle, source, root), root / "log")


def _raw(bench: Bench, file: Path) -> float:
    say(f"raw speed, {SECONDS:g} s")
    command = [sys.executable, "-m", "benchmarks.batch.raw", str(bench.bundle), str(file)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _peak(found: Measured, rows: int) -> Bar:
    megabytes = f"{found.peak_bytes / 1e6:,.0f} MB at {rows:,} rows"
    bar = f"below {PEAK_BYTES / 1e6:,.0f} MB"
    return Bar("peak memory", megabytes, bar, found.peak_bytes < PEAK_BYTES)


def _differences(first: Path, second: Path) -> int:
    """Rows whose scores are not the same bits, or that one of the two lacks."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def rows(root: Path) -> pa.Table:
        parts = sorted(root.glob("out/run=r/scores/*.parquet"))
        return pa.concat_tables([pq.read_table(p).drop(["file"]) for p in parts])

    ones, others = rows(first), rows(second)
    if ones.num_rows != others.num_rows:
        return int(max(ones.num_rows, others.num_rows))
    different = np.zeros(ones.num_rows, dtype=np.bool_)
    for name in ones.column_names:
        same = pc.equal(ones[name], others[name])
        different |= ~same.to_numpy(zero_copy_only=False).astype(np.bool_)
    return int(np.count_nonzero(different))


def _without_detector(bundle: Path, target: Path) -> Path:
    """The same bundle, but that it finds no outliers: what it then does is what peers do."""
    shutil.copytree(bundle, target)
    manifest = read_manifest(target)
    assert manifest.outlier is not None  # noqa: S101
    (target / manifest.outlier.path).unlink()
    files = {n: d for n, d in manifest.files.items() if n != manifest.outlier.path}
    plain = sealed(msgspec.structs.replace(manifest, outlier=None, files=files))
    (target / MANIFEST_NAME).write_bytes(encode_manifest(plain))
    return target
