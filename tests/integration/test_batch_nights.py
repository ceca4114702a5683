"""Nights that score what is new, and what monitoring counts of a night."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.storage import open_storage
from monitoring.settings import MonitorSettings
from monitoring.tables import read_reports
from monitoring.worker import watch
from scoring.errors import ConfigurationError
from tests.support.batch_nights import RECEIVED, TEXT, Night, check_same
from tests.support.batch_pieces import rows, write_csv
from tests.support.batch_runs import adds_up
from tests.support.drift import POLICY_FILE


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


def test_nights_by_partition(referenced_bundle: Path, tmp_path: Path) -> None:
    """A partition that was scored is done, whatever comes late; a new one is scored."""
    night = Night(referenced_bundle, tmp_path, {"incremental": "partitions"})
    for day in (1, 2):
        (night.source / f"day={day}").mkdir(parents=True)
        write_csv(night.source / f"day={day}/a.csv", rows(30))
    night.complete(run_id="1")
    (night.source / "day=3").mkdir()
    for place in ("day=2/late.csv", "day=3/a.csv"):
        write_csv(night.source / place, rows(40))
    night.complete(run_id="2")
    assert names(night, "2") == ["day=3/a.csv"]


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
