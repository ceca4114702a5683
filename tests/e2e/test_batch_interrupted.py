"""Runs that are killed, stopped, fought over and shared: the same bytes as an undisturbed one."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support import toy
from tests.support.batch_runs import (
    BatchRun,
    adds_up,
    killed_and_resumed,
    wait_for,
    without_times,
)

FILES = 24
ROWS = 400
FLAGS = ("--chunk-records=50", "--as-of=2026-01-05T08:30:00Z", "--max-rejected-share=1")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy bundle."""
    return toy.make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of three formats, some of whose rows are bad."""
    directory = tmp_path_factory.mktemp("in")
    rows = [{"record_id": f"e{i}", **row} for i, row in enumerate(toy.records(FILES * ROWS))]
    for number in range(FILES):
        part = rows[number * ROWS : (number + 1) * ROWS]
        path = directory / f"day={number % 3}" / f"part-{number:03d}"
        path.parent.mkdir(exist_ok=True)
        if number % 3 == 0:
            lines = ["record_id,x,n,flag,name"]
            lines += [f"{r['record_id']},{r['x']!r},{r['n']},{r['flag']},{r['name']}" for r in part]
            lines[7] += ",more"
            path.with_suffix(".csv").write_text("\n".join(lines).replace("True", "true") + "\n")
        elif number % 3 == 1:
            text = "".join(f"{json.dumps(r)}\n" for r in part)
            path.with_suffix(".jsonl").write_text(text.replace('"n": 3,', '"n": "three",'))
        else:
            table = pa.Table.from_pylist(part)
            pq.write_table(table, path.with_suffix(".parquet"), row_group_size=210)
    return directory


@pytest.fixture(scope="module")
def whole(bundle: Path, source: Path, tmp_path_factory: pytest.TempPathFactory) -> BatchRun:
    """An undisturbed run."""
    run = BatchRun(bundle, source, tmp_path_factory.mktemp("whole"), FLAGS)
    assert run.complete() == 0, run.said()[-3000:]
    return run


@pytest.fixture
def again(bundle: Path, source: Path, tmp_path: Path) -> Callable[..., BatchRun]:
    """Another run of the same, with further flags."""
    return lambda *flags: BatchRun(bundle, source, tmp_path, (*FLAGS, *flags))


def check_same(run: BatchRun, whole: BatchRun) -> None:
    """All parts, and the manifest but for its times."""
    assert run.parts() == whole.parts()
    assert without_times(run.manifest()) == without_times(whole.manifest())
    adds_up(run.manifest(), FILES * ROWS)


@pytest.mark.parametrize("seed", range(2))
def test_a_run_that_is_killed_again_and_again(
    again: Callable[..., BatchRun], whole: BatchRun, seed: int
) -> None:
    """SIGKILL at random moments, each attempt going on from the last one, gives the same run."""
    run = again()
    killed_and_resumed(run, kills=5, most_parts=30, seed=seed)
    check_same(run, whole)


def test_what_was_done_is_not_done_again(again: Callable[..., BatchRun], whole: BatchRun) -> None:
    """Parts of units that the ledger has keep their time of writing."""
    run = again()
    process = run.start()
    wait_for(lambda: len(list(run.directory.glob("_run/pieces/*.json"))) >= 3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    pieces = [p.stem for p in run.directory.glob("_run/pieces/*.json")]
    files = {name.partition("-")[0] for name in pieces}
    before = {
        path: path.stat().st_mtime_ns
        for path in run.directory.glob("scores/*.parquet")
        if path.stem.split("-")[1] in files
    }
    assert before
    assert run.complete() == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    check_same(run, whole)


def test_sigterm_ends_with_75_and_the_next_attempt_completes(
    again: Callable[..., BatchRun], whole: BatchRun
) -> None:
    """The units in hand are finished, nothing is lost, and the message says how to go on."""
    run = again()
    process = run.start()
    wait_for(lambda: any(run.directory.glob("scores/*.parquet")))
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 75
    assert "--run-id r completes the run" in run.said()
    assert not (run.directory / "manifest.json").exists()
    assert run.complete() == 0
    check_same(run, whole)


def test_two_attempts_at_once(again: Callable[..., BatchRun], whole: BatchRun) -> None:
    """One of them does the run; the other waits, gives up with 75, or finds it complete."""
    run = again("--lease-wait-seconds=0.2")
    first, second = run.start(), run.start()
    assert sorted([first.wait(120), second.wait(120)]) in ([0, 0], [0, 75])
    check_same(run, whole)


def test_shards_share_a_run(bundle: Path, source: Path, tmp_path: Path, whole: BatchRun) -> None:
    """Three pods of an Indexed Job, one of which is killed and started again: the same run."""
    pods = [
        BatchRun(
            bundle,
            source,
            tmp_path,
            (*FLAGS, "--shards=3"),
            environment={"JOB_COMPLETION_INDEX": str(index)},
        )
        for index in range(3)
    ]
    processes = [pod.start() for pod in pods]
    wait_for(lambda: any(pods[1].directory.glob("scores/*.parquet")))
    processes[1].send_signal(signal.SIGKILL)
    processes[1].wait()
    assert processes[0].wait(120) == 0
    assert processes[2].wait(120) == 0
    assert not (pods[1].directory / "manifest.json").exists()
    assert "pieces of other shards are still to come" in (tmp_path / "stdout").read_text()
    assert pods[1].complete() == 0
    check_same(pods[1], whole)
    assert not (pods[1].directory / "_run").exists() or not any(
        path.is_file() for path in (pods[1].directory / "_run").rglob("*")
    )
