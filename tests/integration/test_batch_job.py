"""Runs that several attempts, threads or shards share: the run of one thread in one go."""

import itertools
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.settings import EXIT_DONE, EXIT_TRANSIENT
from adapters.storage import open_storage
from scoring.errors import ConfigurationError, StorageUnavailable
from tests.support import toy
from tests.support.batch_nights import (
    CHUNK,
    RECEIVED,
    Night,
    check_same,
    counted,
    tree,
    write_input,
    written,
)
from tests.support.batch_runs import BatchRun, adds_up, wait_for


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
    before = written(night)
    night.complete(shards=2, shard=0)
    assert before.items() <= written(night).items()
    night.complete()
    assert before.items() <= written(night).items()
    check_same(night, whole)


def test_units_without_the_record_of_their_piece(night: Night, whole: Night) -> None:
    """As a kill leaves them while several pieces are read: each is of its own piece."""
    good = (night.source / "b.csv").read_bytes()
    (night.source / "b.csv").write_bytes(b"no,id\n1,2\n")
    assert night.run().failure is not None
    for path in (night.root / "out/run=r/_run/pieces").iterdir():
        path.unlink()
    before = written(night)
    (night.source / "b.csv").write_bytes(good)
    night.complete()
    assert before.items() <= written(night).items()
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
        {"as_of": datetime(2026, 1, 5, tzinfo=UTC)},
    ],
    ids=str,
)
def test_other_settings_are_refused_until_the_run_is_begun_anew(
    night: Night, other: dict[str, Any]
) -> None:
    """Nothing is written then; with --restart the run is as if nobody had begun it."""
    night.complete(shards=2, shard=0)
    before = tree(night)
    with pytest.raises(ConfigurationError, match="the run was begun with another"):
        night.run(**other)
    assert tree(night) == before
    night.run(**other, restart=True, max_rejected_share=1.0)
    fresh = Night(night.bundle, night.root / "fresh")
    fresh.source.parent.mkdir()
    fresh.source.symlink_to(night.source)
    fresh.run(**other, max_rejected_share=1.0)
    assert night.files().parts() == fresh.files().parts()
    assert counted(night) == counted(fresh)


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
    before = tree(night)
    assert "is complete already" in night.complete(restart=True)
    assert tree(night) == before
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
    before = written(night)
    assert night.run(max_rejected_share=0.1).failure == failure
    night.complete()
    assert written(night) == before
    check_same(night, whole)


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


@pytest.mark.parametrize("flags", [[], ["--restart"]])
def test_an_attempt_that_waited_finds_the_run_complete(
    night: Night, whole: Night, flags: list[str]
) -> None:
    """Another one ended it meanwhile: it is not scored, logged or published a second time, nor
    begun anew.
    """
    run = BatchRun(night.bundle, night.source, night.root, (f"--chunk-records={CHUNK}",))
    there = run.directory
    with open_storage(str(night.root / "out")).lease("run=r/_run/shard-00000"):
        waiting = run.start("--lease-wait-seconds=60", *flags)
        wait_for(lambda: "input listed" in run.said())  # it has seen that there is no manifest
        shutil.copytree(whole.files().directory, there, dirs_exist_ok=True)
        text = (there / "manifest.json").read_text().replace(str(whole.root), str(night.root))
        (there / "manifest.json").write_text(text)
        before = written(night)
    assert waiting.wait(60) == EXIT_DONE
    assert "is complete already; nothing was scored" in (night.root / "stdout").read_text()
    assert written(night) == before
    assert not (night.root / "store").exists()


def test_a_slash_behind_the_input_is_the_same_input(night: Night) -> None:
    """The complete run is found, whichever way its directory is written."""
    night.complete(input=f"file://{night.source}/")
    assert "is complete already" in night.complete(input=str(night.source))
    with pytest.raises(ConfigurationError, match="had another input"):
        night.run(input=str(night.source / "a.parquet"))
