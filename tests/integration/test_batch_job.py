"""Runs that several attempts or shards share, over input that changes: every record once."""

import gzip
import itertools
import json
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.settings import EXIT_DONE, EXIT_TRANSIENT
from adapters.storage import open_storage
from batch_scorer.job import run_job
from batch_scorer.outcome import Outcome
from batch_scorer.settings import BatchSettings
from batch_scorer.unit import Clock
from monitoring.settings import MonitorSettings
from monitoring.tables import read_reports
from monitoring.worker import watch
from scoring.errors import ConfigurationError, StorageUnavailable
from scoring.manifest import (
    MANIFEST_NAME,
    BackendSpec,
    ColumnSpec,
    OutputColumn,
    OutputSpec,
    bundle_files,
    encode_manifest,
    file_digest,
    read_manifest,
    sealed,
)
from tests.support import toy
from tests.support.batch_pieces import Row, rows, write_csv, write_jsonl, write_parquet
from tests.support.batch_runs import BatchRun, adds_up, without_times
from tests.support.drift import POLICY_FILE

CHUNK = 20
PARQUET, TEXT = 400, 130
RECEIVED = PARQUET + 2 * TEXT


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy bundle; no test changes it."""
    return toy.make_bundle(tmp_path_factory.mktemp("bundle"))


@dataclass
class Night:
    """Runs below `root`; `options` are those of all of them."""

    bundle: Path
    root: Path
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> Path:
        """The input."""
        return self.root / "in"

    def run(self, clock: Clock = lambda: toy.NOW, **options: Any) -> Outcome:
        """One attempt; the clock stands still."""
        told: dict[str, Any] = {
            "bundle": self.bundle,
            "input": str(self.source),
            "output": str(self.root / "out"),
            "storage_url": str(self.root / "store"),
            "run_id": "r",
            "chunk_records": CHUNK,
            "lease_wait_seconds": 0,
        }
        return run_job(BatchSettings(**(told | self.options | options)), clock)

    def complete(self, **options: Any) -> str:
        """An attempt that completes the run."""
        outcome = self.run(**options)
        assert outcome.failure is None, outcome
        return outcome.text

    def files(self) -> BatchRun:
        """What the run `r` left."""
        return BatchRun(self.bundle, self.source, self.root)

    def manifest(self, run_id: str = "r") -> dict[str, Any]:
        """A run manifest."""
        path = self.root / "out" / f"run={run_id}" / "manifest.json"
        found: dict[str, Any] = json.loads(path.read_bytes())
        return found

    def scores(self, run_id: str = "r") -> list[tuple[str, int, float]]:
        """File, row and score of everything that was scored."""
        parts = sorted((self.root / "out" / f"run={run_id}" / "scores").iterdir())
        table = pa.concat_tables([pq.read_table(part) for part in parts])
        return [(r["file"], r["row"], r["score"]) for r in table.to_pylist()]


def write_input(source: Path) -> None:
    """Parquet of five pieces, CSV and JSON Lines, in that order."""
    source.mkdir(parents=True, exist_ok=True)
    records = rows(RECEIVED)
    write_parquet(source / "a.parquet", records[:PARQUET], 40)
    write_csv(source / "b.csv", records[PARQUET : PARQUET + TEXT])
    write_jsonl(source / "c.jsonl", records[PARQUET + TEXT :])


@pytest.fixture
def night(bundle: Path, tmp_path: Path) -> Night:
    """Seven pieces that nobody has scored."""
    write_input(tmp_path / "in")
    return Night(bundle, tmp_path)


@pytest.fixture(scope="module")
def whole(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """The same, scored by one thread in one go."""
    root = tmp_path_factory.mktemp("whole")
    write_input(root / "in")
    night = Night(bundle, root)
    night.complete(threads=1)
    return night


def counted(night: Night) -> dict[str, Any]:
    """The manifest without times and without what says where and when the files were written."""
    plain = without_times(night.manifest())
    del plain["input"]
    plain["inputs"] = [
        {k: v for k, v in i.items() if k not in ("url", "etag")} for i in plain["inputs"]
    ]
    return plain


def check_same(night: Night, whole: Night) -> None:
    """Parts to the byte, and the manifest; nothing of the work is left."""
    assert night.files().parts() == whole.files().parts()
    assert counted(night) == counted(whole)
    adds_up(night.manifest(), RECEIVED)
    left = (night.root / "out/run=r/_run").rglob("*")
    assert [path for path in left if path.is_file()] == []


def test_the_run_is_of_seven_pieces(whole: Night) -> None:
    """Or the tests here would not test much."""
    again = Night(whole.bundle, whole.root)
    outcome = again.run(run_id="pieces", shards=100, shard=99)
    assert "7 pieces of other shards are still to come" in outcome.text
    adds_up(whole.manifest(), RECEIVED)


@pytest.mark.parametrize("threads", [2, 4])
def test_threads_change_no_byte(night: Night, whole: Night, threads: int) -> None:
    """More of them than pieces are read at once, too."""
    night.complete(threads=threads)
    check_same(night, whole)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_shards_in_any_order(night: Night, whole: Night, order: Sequence[int]) -> None:
    """Each does its share and says what is left; the last one ends the run, whichever it is."""
    shares = {0: 3, 1: 2, 2: 2}
    left = 7
    for place, shard in enumerate(order):
        outcome = night.run(shards=3, shard=shard)
        left -= shares[shard]
        assert outcome.failure is None
        if place < 2:
            said = f"shard {shard} of 3 is done; {left} pieces of other shards are still to come"
            assert outcome.text == said
            assert not (night.root / "out/run=r/manifest.json").exists()
    check_same(night, whole)
    for shard in range(3):
        assert "is complete already" in night.complete(shards=3, shard=shard)


def test_pods_of_an_indexed_job(
    night: Night, whole: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told by the environment alone; more of them than there are pieces."""
    monkeypatch.setenv("TRILANE_SHARDS", "9")
    for index in range(9):
        monkeypatch.setenv("JOB_COMPLETION_INDEX", str(index))
        night.complete()
    check_same(night, whole)


def test_another_number_of_shards_goes_on(night: Night, whole: Night) -> None:
    """What is recorded is recorded, whoever did it: nothing is done twice."""
    night.complete(shards=4, shard=1)
    before = _written(night)
    night.complete(shards=2, shard=0)
    assert before.items() <= _written(night).items()
    night.complete()
    assert before.items() <= _written(night).items()
    check_same(night, whole)


def _written(night: Night) -> dict[str, int]:
    parts = (night.root / "out/run=r").glob("*/*.parquet")
    return {f"{p.parent.name}/{p.name}": p.stat().st_mtime_ns for p in parts}


def test_units_without_the_record_of_their_piece(night: Night, whole: Night) -> None:
    """As a kill leaves them while several pieces are read: each is of its own piece."""
    good = (night.source / "b.csv").read_bytes()
    (night.source / "b.csv").write_bytes(b"no,id\n1,2\n")
    assert night.run().failure is not None
    for path in (night.root / "out/run=r/_run/pieces").iterdir():
        path.unlink()
    before = _written(night)
    (night.source / "b.csv").write_bytes(good)
    night.complete()
    assert before.items() <= _written(night).items()
    check_same(night, whole)


@pytest.mark.parametrize(
    "other",
    [
        {"chunk_records": CHUNK + 1},
        {"record_id_column": "name"},
        {"columns": {"comment": "remark"}},
        {"csv_delimiter": ","},
        {"csv_decimal": ","},
        {"output_format": "csv"},
    ],
    ids=str,
)
def test_other_settings_are_refused_until_the_run_is_begun_anew(
    night: Night, other: dict[str, Any]
) -> None:
    """Nothing is written then; with --restart the run is as if nobody had begun it."""
    night.complete(shards=2, shard=0)
    before = _tree(night)
    with pytest.raises(ConfigurationError, match="the run was begun with another"):
        night.run(**other)
    assert _tree(night) == before
    night.run(**other, restart=True, max_rejected_share=1.0)
    fresh = Night(night.bundle, night.root / "fresh")
    fresh.source.parent.mkdir()
    fresh.source.symlink_to(night.source)
    fresh.run(**other, max_rejected_share=1.0)
    assert night.files().parts() == fresh.files().parts()
    assert counted(night) == counted(fresh)


def _tree(night: Night) -> dict[str, bytes]:
    out = night.root / "out"
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_another_model_is_refused(night: Night, tmp_path: Path) -> None:
    """Even of the same name and version, when its files are others."""
    night.complete(shards=2, shard=0)
    other = toy.make_bundle(tmp_path / "other", version="8")
    with pytest.raises(ConfigurationError, match="begun with model toy version 7"):
        night.run(bundle=other)
    night.complete(bundle=other, restart=True)
    assert night.manifest()["model"]["version"] == "8"


def test_another_input_is_refused(night: Night, tmp_path: Path) -> None:
    """Its files have the same names, and are not those of this run."""
    night.complete(shards=2, shard=0)
    write_input(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="begun with another input"):
        night.run(input=str(tmp_path / "elsewhere"))


def test_restart_is_of_no_use_to_a_complete_run(night: Night, whole: Night) -> None:
    """It stands; only another run id scores it again."""
    night.complete()
    before = _tree(night)
    assert "is complete already" in night.complete(restart=True)
    assert _tree(night) == before
    check_same(night, whole)


def test_a_failed_run_is_begun_anew(night: Night, whole: Night) -> None:
    """Its manifest goes first: whoever reads the run never finds that of another attempt."""
    assert night.run(max_rejected_share=0.01).failure is not None
    assert night.manifest()["outcome"] == "failed"
    calls = itertools.count()

    def clock() -> datetime:
        if next(calls) == 5:
            raise StorageUnavailable("no answer")
        return toy.NOW

    with pytest.raises(StorageUnavailable):
        night.run(clock, restart=True, threads=1)
    assert not (night.root / "out/run=r/manifest.json").exists()
    assert 0 < len(list((night.root / "out/run=r/_run/units").iterdir())) < 10
    night.complete()
    check_same(night, whole)


def test_a_higher_share_completes_a_run_without_scoring_it_again(
    night: Night, whole: Night
) -> None:
    """Too many were rejected; all parts stay as they are."""
    failure = night.run(max_rejected_share=0.1).failure
    assert failure is not None
    assert "--max-rejected-share" in failure
    before = _written(night)
    assert night.run(max_rejected_share=0.1).failure == failure
    night.complete()
    assert _written(night) == before
    check_same(night, whole)


def test_a_file_that_was_replaced(night: Night, whole: Night) -> None:
    """By a shorter one, after it was scored: it is read again, and no old part of it is left."""
    night.complete(shards=2, shard=0)
    write_parquet(night.source / "a.parquet", rows(50), 40)
    night.complete()
    totals = night.manifest()["totals"]
    assert totals["received"] == 50 + 2 * TEXT
    expected = {("a.parquet", row) for row in range(1, 51) if row % 7}
    found = night.scores()
    assert {(file, row) for file, row, _ in found if file == "a.parquet"} == expected
    assert len(found) == totals["scored"]
    others = [r for r in whole.scores() if r[0] != "a.parquet"]
    assert [r for r in found if r[0] != "a.parquet"] == others


def test_a_file_that_was_added(night: Night, whole: Night) -> None:
    """In the middle of the others: it is left to the next run, and their parts keep their names."""
    night.complete(shards=2, shard=0)
    write_csv(night.source / "aa.csv", rows(30))
    night.complete()
    check_same(night, whole)


def test_a_file_that_is_gone_and_comes_back(night: Night, whole: Night) -> None:
    """Scored or not, the run fails for it, and then counts and has none of its records."""
    night.complete(shards=2, shard=0)
    for name in ("a.parquet", "b.csv"):
        (night.source / name).rename(night.root / name)
    failure = night.run().failure
    assert failure == "2 of 3 files could not be read: a.parquet, b.csv"
    manifest = night.manifest()
    adds_up(manifest, TEXT)
    assert {i["file"]: i["error"] for i in manifest["inputs"]} == {
        "a.parquet": "does not exist any more",
        "b.csv": "does not exist any more",
        "c.jsonl": None,
    }
    assert {file for file, _, _ in night.scores()} == {"c.jsonl"}
    for name in ("a.parquet", "b.csv"):
        (night.root / name).rename(night.source / name)
    night.complete()
    check_same(night, whole)


def test_a_broken_file_that_is_repaired(night: Night, whole: Night) -> None:
    """Cut in its middle, then whole: the others are not touched, and the run is as if it always
    had been.
    """
    raw = gzip.compress((night.source / "c.jsonl").read_bytes())
    for each in (night, Night(night.bundle, night.root / "good")):
        each.source.mkdir(parents=True, exist_ok=True)
        for name in ("a.parquet", "b.csv"):
            (each.source / name).write_bytes((whole.source / name).read_bytes())
        (each.source / "c.jsonl").unlink(missing_ok=True)
        (each.source / "c.jsonl.gz").write_bytes(raw if each is not night else raw[:-20])
    each.complete()
    failure = night.run().failure
    assert failure == "1 of 3 files could not be read: c.jsonl.gz"
    broken = night.manifest()["inputs"][2]
    assert broken["received"] == broken["scored"] + broken["rejected"]
    before = {k: v for k, v in _written(night).items() if "-00002-" not in k}
    (night.source / "c.jsonl.gz").write_bytes(raw)
    night.complete()
    assert before.items() <= _written(night).items()
    check_same(night, each)


HOLD = """
import sys
from adapters.storage import open_storage
with open_storage(sys.argv[1]).lease(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("lease", ["shard-00000", "finish"])
def test_another_process_holds_the_run(night: Night, whole: Night, lease: str) -> None:
    """Exit code 75, and who it is; when that process is killed, the next attempt completes it."""
    out = night.root / "out"
    command = [sys.executable, "-c", HOLD, str(out), f"run=r/_run/{lease}"]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        run = BatchRun(
            night.bundle, night.source, night.root, (f"--chunk-records={CHUNK}", "--threads=1")
        )
        flags = (f"--as-of={toy.NOW.isoformat()}", "--lease-wait-seconds=0.1")
        assert run.complete(*flags) == EXIT_TRANSIENT
        assert f"process {holder.pid} " in run.said()
        assert "try again" in run.said()
        assert bool(list(out.glob("run=r/scores/*"))) is (lease == "finish")
        assert run.complete("--shards=2", "--shard=1", *flags) == (
            EXIT_DONE if lease == "shard-00000" else EXIT_TRANSIENT
        )
        assert not (out / "run=r/manifest.json").exists()
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
        assert holder.stdin is not None
        holder.stdin.close()
    assert run.complete(*flags) == EXIT_DONE
    check_same(night, whole)


def names(night: Night, run_id: str) -> list[str]:
    """The files of a run."""
    return [entry["file"] for entry in night.manifest(run_id)["inputs"]]


def test_nights_that_score_what_is_new(night: Night) -> None:
    """Changed and new files; then nothing, which is a complete run; then everything, once."""
    night.options = {"incremental": "files"}
    night.complete(run_id="1")
    assert names(night, "1") == ["a.parquet", "b.csv", "c.jsonl"]
    write_csv(night.source / "b.csv", rows(TEXT + 5))
    write_csv(night.source / "aa.csv", rows(30))
    (night.source / "c.jsonl").unlink()
    night.complete(run_id="2")
    assert names(night, "2") == ["aa.csv", "b.csv"]
    adds_up(night.manifest("2"), 30 + TEXT + 5)
    text = night.complete(run_id="3")
    assert "0 received" in text
    assert names(night, "3") == []
    night.complete(run_id="4", full=True)
    assert names(night, "4") == ["a.parquet", "aa.csv", "b.csv"]
    night.complete(run_id="5")
    assert names(night, "5") == []


def test_a_night_that_fails_is_not_remembered(night: Night) -> None:
    """Its good files are scored again by another run, and not by its own next attempt."""
    night.options = {"incremental": "files"}
    good = (night.source / "b.csv").read_bytes()
    (night.source / "b.csv").write_bytes(b"no,id\n1,2\n")
    assert night.run(run_id="1").failure is not None
    assert night.run(run_id="2").failure is not None
    assert names(night, "2") == ["a.parquet", "b.csv", "c.jsonl"]
    (night.source / "b.csv").write_bytes(good)
    night.complete(run_id="1")
    assert names(night, "1") == ["a.parquet", "b.csv", "c.jsonl"]
    adds_up(night.manifest("1"), RECEIVED)
    night.complete(run_id="3")
    assert names(night, "3") == []


def test_a_night_that_was_begun_keeps_its_files(night: Night, whole: Night) -> None:
    """Although another night has scored them meanwhile."""
    night.options = {"incremental": "files"}
    night.complete(shards=2, shard=0)
    night.complete(run_id="between")
    night.complete()
    check_same(night, whole)


def test_nights_by_partition(bundle: Path, tmp_path: Path) -> None:
    """A partition that was scored is done, whatever comes late; a new one is scored."""
    night = Night(bundle, tmp_path, {"incremental": "partitions"})
    for day in (1, 2):
        (night.source / f"day={day}").mkdir(parents=True)
        write_csv(night.source / f"day={day}/a.csv", rows(30))
    night.complete(run_id="1")
    (night.source / "day=3").mkdir()
    for place in ("day=2/late.csv", "day=3/a.csv"):
        write_csv(night.source / place, rows(40))
    night.complete(run_id="2")
    assert names(night, "2") == ["day=3/a.csv"]


def test_a_model_that_is_not_compiled(tmp_path: Path) -> None:
    """Its calls come one at a time, whatever the number of threads; scores are the same bits."""
    bundle = _uncompiled(tmp_path)
    records: list[Row] = [{"record_id": str(i), "x": i / 7} for i in range(400)]
    found = []
    for threads in (1, 4):
        night = Night(bundle, tmp_path / str(threads))
        night.source.mkdir(parents=True)
        for number in range(4):
            part = records[number * 100 : number * 100 + 100]
            write_jsonl(night.source / f"{number}.jsonl", part)
        night.complete(threads=threads)
        assert night.manifest()["totals"] == {"received": 400, "scored": 400, "rejected": 0}
        found.append(night.files().parts())
    assert found[0] == found[1]
    table = pq.read_table(tmp_path / "4/out/run=r/scores/part-00003-00004.parquet")
    assert table["prediction"].to_pylist() == [i / 7 * 2.0 for i in range(380, 400)]


def _uncompiled(root: Path) -> Path:
    """A bundle of tests/support/alone_model.py, which fails when it is called twice at once."""
    bundle = toy.make_bundle(root / "bundle", reference=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, of its imports and of models from source
        import mlflow
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec
        from mlflow.types import Schema as Columns

        source = Path(__file__).parents[1] / "support" / "alone_model.py"
        signature = ModelSignature(Columns([ColSpec("double", "x")]))
        mlflow.pyfunc.save_model(bundle / "model", python_model=str(source), signature=signature)
    for name in ("model.onnx", "outlier.onnx"):
        (bundle / name).unlink()
    made = msgspec.structs.replace(
        read_manifest(bundle),
        inputs=[ColumnSpec("x", "double")],
        ignored_fields=[],
        example={"x": 1.0},
        output=OutputSpec("columns", ["prediction"], [OutputColumn("prediction", "double")]),
        backend=BackendSpec("pyfunc", "model"),
        outlier=None,
        files={
            name: file_digest(bundle / name)
            for name in bundle_files(bundle)
            if name != MANIFEST_NAME
        },
    )
    (bundle / MANIFEST_NAME).write_bytes(encode_manifest(sealed(made)))
    return bundle


@pytest.mark.parametrize("log", ["rows", "reference"])
def test_monitoring_counts_every_record_once(night: Night, log: str) -> None:
    """However the run is logged, and although half of it is logged a second time."""
    night.options = {"log": log, "as_of": datetime(2026, 3, 2, 8, 30, tzinfo=UTC)}
    night.complete(shards=2, shard=0)
    for path in (night.root / "out/run=r/_run/pieces").iterdir():
        path.unlink()
    for path in sorted((night.root / "out/run=r/_run/units").iterdir())[::2]:
        path.unlink()
    night.complete()
    settings = MonitorSettings(
        bundle=night.bundle,
        storage_url=str(night.root / "store"),
        policy=POLICY_FILE,
        once=True,
        html_reports=False,
    )
    watch(settings)
    reports = read_reports(open_storage(str(night.root / "store")), "toy", "7")
    found = [(report.lane, report.row_count, report.rejected_rows) for report in reports]
    assert found == [("all", RECEIVED, night.manifest()["totals"]["rejected"])]


def test_references_need_parts_that_can_be_read_back(night: Night) -> None:
    """CSV parts cannot: said before anything is written."""
    with pytest.raises(ConfigurationError, match="--log reference"):
        night.run(log="reference", output_format="csv")
    assert not (night.root / "out").exists()
    assert [path.name for path in night.root.iterdir()] == ["in"]
