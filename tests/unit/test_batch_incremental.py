"""Leaving out what complete runs have scored."""

import threading
from pathlib import Path
from typing import Any, Literal

import pytest

from adapters.storage import Storage, open_storage
from batch_scorer.agreement import agreed_plan
from batch_scorer.inputs.chosen import chosen_files
from batch_scorer.inputs.incremental import STATE, Mode, forget, left_out, read_state, remember
from batch_scorer.plan import Plan, PlannedFile
from batch_scorer.run_manifest import Counts, InputReport, ModelReport, RunManifest
from batch_scorer.settings import BatchSettings
from scoring.errors import InputError, LeaseHeld
from scoring.schema import Schema
from tests.support.batch_plans import plan_of

INPUT = "abfs://c@account.dfs.core.windows.net/data"
SCHEMA = Schema.from_signature([{"name": "x", "type": "double"}])
MODEL = ModelReport("toy", "7", "0" * 64)


def files(*etags: tuple[str, str]) -> list[PlannedFile]:
    """Files as listed, by name and etag."""
    return [
        PlannedFile(index=i, file=n, path=n, url=f"{INPUT}/{n}", size=1, etag=etag, format="csv")
        for i, (n, etag) in enumerate(etags)
    ]


def manifest(
    *etags: tuple[str, str], outcome: Literal["complete", "failed"] = "complete", **errors: str
) -> RunManifest:
    """A run that scored these files."""
    return RunManifest(
        format=2,
        run_id="r",
        outcome=outcome,
        model=MODEL,
        record_id_column="id",
        chunk_records=10,
        event_time="",
        started_at="",
        finished_at="",
        seconds=0.0,
        totals=Counts(),
        rejections={},
        inputs=[InputReport(n, "", 1, etag, 0, 0, 0, 0.0, errors.get(n)) for n, etag in etags],
    )


def to_score(output: Storage, mode: Mode, *etags: tuple[str, str]) -> list[str]:
    """The names of the files that are not left out."""
    wanted, out = left_out(read_state(output, INPUT), mode, files(*etags))
    assert sorted(f.file for f in [*wanted, *out]) == sorted(name for name, _ in etags)
    return [file.file for file in wanted]


@pytest.fixture
def output(tmp_path: Path) -> Storage:
    """Where runs are written."""
    return open_storage(str(tmp_path / "out"))


def test_at_first_everything_is_new(output: Storage) -> None:
    """Without a state nothing is left out."""
    for mode in ("none", "files", "partitions"):
        assert to_score(output, mode, ("a", "1"), ("day=1/b", "1")) == ["a", "day=1/b"]


def test_files_are_known_by_name_and_etag(output: Storage) -> None:
    """A file that was replaced is new again, and so is one of another name."""
    remember(output, INPUT, manifest(("a", "1"), ("day=1/b", "1")))
    found = to_score(output, "files", ("a", "1"), ("day=1/b", "2"), ("day=1/c", "1"))
    assert found == ["day=1/b", "day=1/c"]
    assert to_score(output, "none", ("a", "1")) == ["a"]


def test_a_partition_is_scored_once(output: Storage) -> None:
    """Whatever came into it or changed in it since; outside of partitions files count."""
    remember(output, INPUT, manifest(("a", "1"), ("day=1/land=DE/b", "1")))
    listed = [("a", "2"), ("c", "1"), ("day=1/land=DE/b", "2"), ("day=1/land=DE/new/x", "1")]
    listed += [("day=1/land=FR/b", "1"), ("day=1/b", "1")]
    found = to_score(output, "partitions", *listed)
    assert found == ["a", "c", "day=1/land=FR/b", "day=1/b"]


def test_runs_add_up_and_a_repeat_changes_nothing(output: Storage) -> None:
    """What was scored is the union of all complete runs, written only when it grows."""
    remember(output, INPUT, manifest(("a", "1")))
    remember(output, INPUT, manifest(("b", "1"), ("a", "2")))
    before = output.list(STATE)
    remember(output, INPUT, manifest(("b", "1"), ("a", "2")))
    assert output.list(STATE) == before
    assert read_state(output, INPUT).files == {"a": "2", "b": "1"}


def test_only_complete_runs_count(output: Storage) -> None:
    """A failed run is done again, its good files with it."""
    remember(output, INPUT, manifest(("a", "1"), ("b", "1"), outcome="failed", b="is cut"))
    assert to_score(output, "files", ("a", "1"), ("b", "1")) == ["a", "b"]
    assert not output.exists(STATE)


def test_inputs_are_kept_apart(output: Storage) -> None:
    """By URL, in whichever of its spellings, and without its secret."""
    remember(output, f"{INPUT}/?sv=1&sig=secret", manifest(("a", "1")))
    assert read_state(output, INPUT).files == {"a": "1"}
    assert read_state(output, f"{INPUT}/b").files == {}
    assert b"secret" not in output.read(STATE)


def test_a_relative_path_is_its_place(
    output: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From wherever the command is called."""
    monkeypatch.chdir(tmp_path)
    remember(output, "data", manifest(("a", "1")))
    assert read_state(output, f"file://{tmp_path}/data").files == {"a": "1"}


def test_what_is_gone_is_forgotten(output: Storage) -> None:
    """The state does not outgrow the input; a partition is known while any file is in it."""
    remember(output, INPUT, manifest(("a", "1"), ("day=1/b", "1"), ("day=2/b", "1")))
    remember(output, f"{INPUT}/other", manifest(("a", "1")))
    forget(output, INPUT, files(("day=1/other", "1")))
    assert read_state(output, INPUT).files == {}
    assert read_state(output, INPUT).partitions == ["day=1"]
    assert read_state(output, f"{INPUT}/other").files == {"a": "1"}


def test_a_state_that_cannot_be_read_is_an_error(output: Storage) -> None:
    """To leave out nothing would score everything twice."""
    for content in (b"{", b'{"format": 2}'):
        output.write(STATE, content)
        with pytest.raises(InputError, match=r"_trilane/incremental\.json"):
            read_state(output, INPUT)


def test_runs_that_end_together_lose_nothing(output: Storage) -> None:
    """Each adds to what the other wrote."""
    names = [str(number) for number in range(8)]
    threads = [
        threading.Thread(target=remember, args=(output, INPUT, manifest((name, "1"))))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read_state(output, INPUT).files) == names


def test_the_state_is_changed_by_one_at_a_time(output: Storage) -> None:
    """While another has it, nobody writes; who must wait too long is told to come again."""
    with output.lease(STATE), pytest.raises(LeaseHeld):
        remember(output, INPUT, manifest(("a", "1")), wait_seconds=0.0)
    assert not output.exists(STATE)


def settings(tmp_path: Path, **changes: Any) -> BatchSettings:
    """Of a run over the files of `data`."""
    told: dict[str, Any] = {"record_id_column": "id", "incremental": "files", **changes}
    data, out = str(tmp_path / "data"), str(tmp_path / "out")
    return BatchSettings(bundle=tmp_path, input=data, output=out, **told)


@pytest.fixture
def data(tmp_path: Path) -> Storage:
    """An input of two files."""
    storage = open_storage(str(tmp_path / "data"))
    storage.write("a.csv", b"id,x\n1,1\n")
    storage.write("b.csv", b"id,x\n1,1\n")
    return storage


def scored(data: Storage, *names: str) -> RunManifest:
    """A complete run over some files as they are."""
    return manifest(*((file.path, file.etag) for file in data.list() if file.path in names))


def test_the_files_of_a_run(tmp_path: Path, data: Storage, output: Storage) -> None:
    """New ones are numbered from 0; --full takes all; nothing new is a run without files."""
    remember(output, str(tmp_path / "data"), scored(data, "a.csv"))

    def chosen(**changes: Any) -> list[tuple[int, str]]:
        _, found = chosen_files(settings(tmp_path, **changes), SCHEMA, output)
        return [(file.index, file.file) for file in found]

    assert chosen() == [(0, "b.csv")]
    assert chosen(full=True) == [(0, "a.csv"), (1, "b.csv")]
    assert chosen(incremental="none") == [(0, "a.csv"), (1, "b.csv")]
    remember(output, str(tmp_path / "data"), scored(data, "b.csv"))
    assert chosen() == []
    data.delete("a.csv")
    assert chosen() == []
    assert list(read_state(output, str(tmp_path / "data")).files) == ["b.csv"]


def test_a_run_keeps_the_files_it_began_with(
    tmp_path: Path, data: Storage, output: Storage
) -> None:
    """Another run may have scored them since; a run that is begun anew does not take them."""
    told = settings(tmp_path)
    _, found = chosen_files(told, SCHEMA, output, "r")
    agreed_plan(output, plan(found))
    remember(output, told.input, scored(data, "a.csv", "b.csv"))
    assert [f.file for f in chosen_files(told, SCHEMA, output, "r")[1]] == ["a.csv", "b.csv"]
    assert chosen_files(told, SCHEMA, output, "other")[1] == []
    assert chosen_files(settings(tmp_path, restart=True), SCHEMA, output, "r")[1] == []


def plan(found: list[PlannedFile]) -> Plan:
    """Of a run that was begun."""
    return plan_of(*found, chunk_records=65_536, record_id_column="id")
