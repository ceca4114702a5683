"""Runs whose files are replaced, added, broken or gone between attempts."""

import gzip
import itertools
from datetime import datetime

from tests.support import toy
from tests.support.batch_nights import (
    TEXT,
    Night,
    check_same,
    written,
)
from tests.support.batch_pieces import rows, write_csv, write_parquet
from tests.support.batch_runs import adds_up


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
    before = {k: v for k, v in written(night).items() if "-00002-" not in k}
    (night.source / "c.jsonl.gz").write_bytes(raw)
    night.complete()
    assert before.items() <= written(night).items()
    check_same(night, each)


def test_a_file_that_was_away_for_a_moment(night: Night, whole: Night) -> None:
    """When it was to be read: it fails, and the next attempt reads it, as nothing else changed."""
    file, away = night.source / "c.jsonl", night.root / "away"
    calls = itertools.count()

    def clock() -> datetime:
        if next(calls) == 1:
            file.rename(away)
        return toy.NOW

    failure = night.run(clock, threads=1).failure
    assert failure == "1 of 3 files could not be read: c.jsonl"
    away.rename(file)
    before = written(night)
    night.complete()
    assert before.items() <= written(night).items()
    check_same(night, whole)
