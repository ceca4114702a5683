"""The account of a run: every record once, and in words what is missing."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from batch_scorer.accounts import expected_parts, manifest_of, missing
from batch_scorer.delivery.parts import OutputFormat, PartEncoder
from batch_scorer.distribution import Distribution
from batch_scorer.ledger import PieceReport
from batch_scorer.plan import Plan, PlannedFile
from batch_scorer.run_manifest import Counts, RunManifest
from tests.support.batch_plans import MODEL, piece_report, plan_of, planned_file, scores
from tests.support.toy import load_toy

FINISHED = datetime(2026, 3, 2, 4, 30, 0, 250_000, timezone(timedelta(hours=2)))

Recorded = dict[tuple[int, int], PieceReport]


def ended(
    *files: PlannedFile, recorded: Recorded, share: float = 0.5, plan: Plan | None = None
) -> RunManifest:
    """The manifest of a run."""
    return manifest_of(plan or plan_of(*files), recorded, share, FINISHED)


def one(received: int, rejected: int, share: float) -> str | None:
    """How a run of one file fails."""
    report = piece_report(received - rejected, rejected)
    return ended(planned_file(), recorded={(0, 0): report}, share=share).failure


def test_every_piece_must_be_recorded() -> None:
    """Of all files, whichever shard they are of; other records do not count."""
    plan = plan_of(planned_file(0, pieces=3), planned_file(1, pieces=0, error="x"), planned_file(2))
    assert missing(plan, {}) == 4
    assert missing(plan, {(0, 1): piece_report(), (1, 0): piece_report()}) == 3
    everything = {(0, 0), (0, 1), (0, 2), (2, 0)}
    assert missing(plan, {place: piece_report() for place in everything}) == 0


def test_counts_add_up_over_pieces_and_files() -> None:
    """In every file and in all; codes are ordered by how often they occurred, then by name."""
    recorded = {
        (0, 0): piece_report(10, 2, codes={"missing_field": 1, "wrong_type": 1}),
        (0, 1): piece_report(5, 4, 1, codes={"wrong_type": 4}, seconds=1.2504),
        (1, 0): piece_report(0, 1, codes={"malformed": 1}),
        (2, 0): piece_report(0, 0),
    }
    found = ended(planned_file(0, pieces=2), planned_file(1), planned_file(2), recorded=recorded)
    assert found.totals == Counts(22, 15, 7)
    assert [(i.received, i.scored, i.rejected) for i in found.inputs] == [
        (21, 15, 6), (1, 0, 1), (0, 0, 0)
    ]  # fmt: skip
    assert list(found.rejections.items()) == [
        ("wrong_type", 5), ("malformed", 1), ("missing_field", 1)
    ]  # fmt: skip
    assert [i.seconds for i in found.inputs] == [1.75, 0.5, 0.5]
    assert found.distribution["score"] == Distribution(15, 15 * 0.25, 0.25, 0.25)
    assert (found.outcome, found.failure) == ("complete", None)


def test_the_manifest_repeats_the_plan() -> None:
    """Its times, model, settings, bins and files; the end is in UTC, the time from the start."""
    file = planned_file(0, "day=1/a.parquet", size=77, etag="77-x")
    plan = plan_of(
        file,
        record_id_column="id",
        chunk_records=99,
        reasons=2,
        bins={"score": [0.0, 1.0]},
        event_time="2026-03-01T00:00:00+00:00",
    )
    found = ended(recorded={(0, 0): piece_report()}, plan=plan)
    assert (found.format, found.run_id, found.input, found.model) == (2, "r", "file:///in", MODEL)
    assert (found.record_id_column, found.chunk_records, found.reasons) == ("id", 99, 2)
    assert found.bins == {"score": [0.0, 1.0]}
    assert found.event_time == "2026-03-01T00:00:00+00:00"
    assert found.started_at == plan.started_at
    assert found.finished_at == "2026-03-02T02:30:00.250000+00:00"
    assert datetime.fromisoformat(found.finished_at).tzinfo == UTC
    assert found.seconds == 5400.25
    (entry,) = found.inputs
    assert (entry.file, entry.url, entry.size, entry.etag) == (
        "day=1/a.parquet", "file:///in/day=1/a.parquet", 77, "77-x"
    )  # fmt: skip


def test_distributions_add_up_in_the_order_of_files_and_pieces() -> None:
    """However the pieces were recorded: so the sums have the same bits in every run."""
    values = {(0, 0): 1e16, (0, 1): 1.0, (1, 0): -1e16, (2, 0): 1.0}
    recorded = {p: piece_report(1, distribution=scores(1, v)) for p, v in values.items()}
    files = planned_file(0, pieces=2), planned_file(1), planned_file(2)
    for places in (list(recorded), sorted(recorded, reverse=True)):
        turned = {place: recorded[place] for place in places}
        assert ended(*files, recorded=turned).distribution["score"].total == 1.0


def test_records_of_other_pieces_do_not_count() -> None:
    """As those of a file that was planned anew with fewer pieces."""
    recorded = {(0, 0): piece_report(10), (0, 1): piece_report(20), (7, 0): piece_report(40)}
    assert ended(planned_file(), recorded=recorded).totals == Counts(10, 10, 0)


def test_a_file_fails_by_the_error_of_its_first_broken_piece() -> None:
    """What could be read of it counts."""
    recorded = {
        (0, 0): piece_report(4),
        (0, 1): piece_report(3, error="is cut"),
        (0, 2): piece_report(0, error="is damaged"),
        (1, 0): piece_report(10),
    }
    found = ended(planned_file(0, "a.parquet", 3), planned_file(1), recorded=recorded)
    assert [(i.error, i.scored) for i in found.inputs] == [("is cut", 7), (None, 10)]
    assert found.outcome == "failed"
    assert found.failure == "1 of 2 files could not be read: a.parquet"
    assert found.totals == Counts(17, 17, 0)


def test_a_file_that_has_no_pieces_fails_by_its_own_error() -> None:
    """It was found at the start."""
    found = ended(planned_file(0, pieces=0, error="does not exist any more"), recorded={})
    assert found.inputs[0].error == "does not exist any more"
    assert found.failure == "1 of 1 files could not be read: 0.csv"


@pytest.mark.parametrize(
    ("failed", "named"),
    [(3, "3 of 9 files could not be read: 0.csv, 1.csv, 2.csv"),
     (4, "4 of 9 files could not be read: 0.csv, 1.csv, 2.csv and 1 more"),
     (9, "9 of 9 files could not be read: 0.csv, 1.csv, 2.csv and 6 more")],
)  # fmt: skip
def test_three_of_the_failed_files_are_named(failed: int, named: str) -> None:
    """And the others counted."""
    files = [planned_file(i, pieces=0, error="x") for i in range(failed)]
    files += [planned_file(i) for i in range(failed, 9)]
    recorded = {(i, 0): piece_report() for i in range(failed, 9)}
    assert ended(*files, recorded=recorded).failure == named


@pytest.mark.parametrize("received", [1, 2, 3, 7, 10, 29, 100, 999, 1_000, 123_457])
def test_exactly_the_share_may_be_rejected(received: int) -> None:
    """Whatever the share is, written as people write it; and one record more may not."""
    for percent in range(1, 100):
        allowed, rest = divmod(received * percent, 100)
        share = float(f"0.{percent:02}")
        if not rest and allowed:
            assert one(received, allowed, share) is None
        assert one(received, allowed + 1, share) is not None


def test_too_many_rejections_are_said_in_figures() -> None:
    """With the setting that allows more."""
    assert one(3_000, 2_001, 0.667) is None
    assert one(3_000, 2_002, 0.667) == (
        "2,002 of 3,000 records were rejected, more than the share of 0.667 that "
        "--max-rejected-share allows"
    )


@pytest.mark.parametrize("rejected", [0, 1, 50])
def test_a_share_of_one_is_no_limit(rejected: int) -> None:
    """Not even when everything is rejected."""
    assert one(50, rejected, 1.0) is None


@pytest.mark.parametrize("share", [0.001, 0.5, 1.0])
def test_a_run_of_nothing_is_complete(share: float) -> None:
    """No files, or only empty ones."""
    assert one(0, 0, share) is None
    assert ended(recorded={}, share=share).outcome == "complete"


def test_both_reasons_to_fail_are_said() -> None:
    """First the files."""
    recorded = {(0, 0): piece_report(1, 9, error="is cut")}
    failure = ended(planned_file(), recorded=recorded).failure
    assert failure is not None
    files, share = failure.split("; ")
    assert files == "1 of 1 files could not be read: 0.csv"
    assert share.startswith("9 of 10 records were rejected")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a toy bundle may be made."""
    return tmp_path_factory.mktemp("toy")


@pytest.mark.parametrize(
    ("kind", "ending"), [("parquet", "parquet"), ("csv", "csv"), ("delta", "parquet")]
)
def test_the_parts_of_a_run(toy: Path, kind: OutputFormat, ending: str) -> None:
    """One for each unit that scored records, one for each that rejected any."""
    encoder = PartEncoder(load_toy(toy / kind, reference=0), kind, with_reasons=False)
    recorded = {
        (0, 0): piece_report(8, 2, 0, (0, 1), rejected_units=[1]),
        (0, 1): piece_report(8, 0, 1, (2,)),
        (1, 0): piece_report(0, 8, error="is cut"),
        (2, 0): piece_report(0, 0),
    }
    plan = plan_of(planned_file(0, pieces=2), planned_file(1), planned_file(2))
    assert expected_parts(plan, recorded, encoder) == {
        f"run=r/scores/part-00000-00000.{ending}",
        f"run=r/scores/part-00000-00001.{ending}",
        f"run=r/scores/part-00000-00002.{ending}",
        f"run=r/rejected/part-00000-00001.{ending}",
        f"run=r/rejected/part-00001-00000.{ending}",
    }


def test_parts_of_what_does_not_count_are_no_parts_of_the_run(toy: Path) -> None:
    """A file that was scored and is gone since: its records are in no count, so in no part."""
    encoder = PartEncoder(load_toy(toy / "gone", reference=0), "parquet", with_reasons=False)
    gone = planned_file(0, pieces=0, error="does not exist any more")
    recorded = {(0, 0): piece_report(10, 1), (1, 0): piece_report(5)}
    plan = plan_of(gone, planned_file(1))
    assert ended(recorded=recorded, plan=plan).totals.received == 5
    assert expected_parts(plan, recorded, encoder) == {"run=r/scores/part-00001-00000.parquet"}
