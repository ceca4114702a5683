"""Runs on a local Spark cluster beside runs of this machine's threads."""

import signal
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support import toy
from tests.support.batch_runs import BatchRun, adds_up, wait_for, without_times

pytestmark = pytest.mark.spark

ENVIRONMENT = {
    "PYSPARK_PYTHON": sys.executable,
    "PYSPARK_SUBMIT_ARGS": "--master local[2] --conf spark.ui.enabled=false pyspark-shell",
    "SPARK_LOCAL_IP": "127.0.0.1",
}
FLAGS = ("--chunk-records=100", "--as-of=2026-01-05T08:30:00Z")
RECEIVED = 2_000 + 300 + 4


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[BatchRun, Path]:
    """An undisturbed run on threads over a Parquet file of several pieces, CSV with bad rows, and a
    Hive partition; and its input.
    """
    root = tmp_path_factory.mktemp("spark")
    bundle, source = toy.make_bundle(root / "bundle"), root / "in"
    (source / "name=senior").mkdir(parents=True)
    records = [{"record_id": f"e{i}", **row} for i, row in enumerate(toy.records(2_000))]
    pq.write_table(pa.Table.from_pylist(records), source / "a.parquet", row_group_size=250)
    lines = [f"e{i},{i}.5,{i % 9},true,lead" for i in range(300)]
    text = "\n".join(["record_id,x,n,flag,name", *lines, "e,1,2,3", "f,x,1,true,lead", ""])
    (source / "b.csv").write_text(text)
    part = pa.Table.from_pylist(records[:2]).drop(["name"])
    pq.write_table(part, source / "name=senior" / "c.parquet")
    local = BatchRun(bundle, source, root / "local", FLAGS)
    assert local.complete() == 0, local.said()
    return local, source


def on_spark(runs: tuple[BatchRun, Path], root: Path, *flags: str) -> BatchRun:
    """The same run, on Spark."""
    local, source = runs
    return BatchRun(
        local.bundle, source, root, (*FLAGS, "--engine=spark", *flags), environment=ENVIRONMENT
    )


def test_spark_gives_the_same_run(runs: tuple[BatchRun, Path], tmp_path: Path) -> None:
    """Parts, counts, rejections and distribution: byte for byte those of the threads."""
    local, _ = runs
    spark = on_spark(runs, tmp_path)
    assert spark.complete() == 0, spark.said()[-3000:]
    assert spark.parts() == local.parts()
    assert without_times(spark.manifest()) == without_times(local.manifest())
    adds_up(spark.manifest(), RECEIVED)


def test_what_spark_began_threads_complete(runs: tuple[BatchRun, Path], tmp_path: Path) -> None:
    """A driver that is killed leaves a run that any engine goes on with."""
    local, _ = runs
    spark = on_spark(runs, tmp_path)
    process = spark.start()
    wait_for(lambda: any(spark.directory.glob("_run/pieces/*")), 90)
    process.kill()
    process.wait()
    threads = BatchRun(local.bundle, local.source, tmp_path, FLAGS)
    assert threads.complete() == 0, threads.said()[-3000:]
    assert threads.parts() == local.parts()
    assert without_times(threads.manifest()) == without_times(local.manifest())


def test_a_failing_file_on_spark(runs: tuple[BatchRun, Path], tmp_path: Path) -> None:
    """Its error reaches the manifest; the rest is scored."""
    local, source = runs
    copied = tmp_path / "in"
    copied.mkdir()
    whole = (source / "a.parquet").read_bytes()
    (copied / "a.parquet").write_bytes(whole)
    damaged = bytearray(whole)
    damaged[200:2_000] = bytes(1_800)
    (copied / "b.parquet").write_bytes(damaged)
    spark = BatchRun(
        local.bundle, copied, tmp_path, (*FLAGS, "--engine=spark"), environment=ENVIRONMENT
    )
    assert spark.complete() == 1
    manifest = spark.manifest()
    assert manifest["outcome"] == "failed"
    assert [entry["error"] is None for entry in manifest["inputs"]] == [True, False]
    assert manifest["inputs"][0]["scored"] == 2_000


def test_sigterm_ends_the_job_with_75(runs: tuple[BatchRun, Path], tmp_path: Path) -> None:
    """The job is cancelled, the message says how to go on, and threads go on."""
    local, _ = runs
    source = tmp_path / "in"
    source.mkdir()
    lines = [f"e{i},{i}.5,{i % 9},true,lead" for i in range(40_000)]
    (source / "long.csv").write_text("\n".join(["record_id,x,n,flag,name", *lines]))
    flags = ("--chunk-records=10", "--as-of=2026-01-05T08:30:00Z")
    spark = BatchRun(
        local.bundle, source, tmp_path, (*flags, "--engine=spark"), environment=ENVIRONMENT
    )
    process = spark.start()
    wait_for(lambda: any(spark.directory.glob("_run/units/*")), 90)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 75, spark.said()[-3000:]
    assert "--run-id r completes the run" in spark.said()
    assert "Traceback" not in spark.said().rpartition("trilane batch: ")[2]
    threads = BatchRun(local.bundle, source, tmp_path, flags)
    assert threads.complete() == 0, threads.said()[-3000:]
    adds_up(threads.manifest(), 40_000)
