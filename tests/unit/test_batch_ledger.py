"""What an unfinished run keeps of its work, and what of that still counts."""

from pathlib import Path

import pytest

from adapters.record_files.chunks import Position
from adapters.storage import Storage, open_storage
from batch_scorer.distribution import Distribution
from batch_scorer.ledger import Ledger, PieceReport, summed
from batch_scorer.plan import Piece
from batch_scorer.run_manifest import Counts
from scoring.errors import InputError
from tests.support.batch_plans import piece_report, planned_file, scores, unit_report

FILE = planned_file(3, pieces=2)
REPLACED = planned_file(3, pieces=2, etag="e2")


@pytest.fixture
def output(tmp_path: Path) -> Storage:
    """A directory."""
    return open_storage(str(tmp_path))


@pytest.fixture
def ledger(output: Storage) -> Ledger:
    """That of the run `r`."""
    return Ledger(output, "r")


def test_units_are_read_back(ledger: Ledger) -> None:
    """In order, with everything that was recorded, by whatever order they were done in."""
    reports = [unit_report(unit, 9, unit) for unit in range(4)]
    for report in reversed(reports):
        ledger.record_unit(FILE, report)
    assert ledger.units(FILE, Piece(0)) == reports
    assert ledger.units(FILE, Piece(0))[-1].end == Position(42, 0)


@pytest.mark.parametrize("gap", range(4))
def test_what_lies_behind_a_gap_is_done_again(ledger: Ledger, gap: int) -> None:
    """Where a unit begins is known from the one before it only."""
    reports = [unit_report(unit) for unit in range(4)]
    for report in reports[:gap] + reports[gap + 1 :]:
        ledger.record_unit(FILE, report)
    assert ledger.units(FILE, Piece(0)) == reports[:gap]
    ledger.record_unit(FILE, reports[gap])
    assert ledger.units(FILE, Piece(0)) == reports


def test_a_later_piece_has_units_of_its_own(ledger: Ledger) -> None:
    """From its first unit on."""
    first, second = FILE.pieces
    ledger.record_unit(FILE, unit_report(4))
    ledger.record_unit(FILE, unit_report(5))
    assert ledger.units(FILE, first) == []
    assert [report.unit for report in ledger.units(FILE, second)] == [4, 5]


def test_a_piece_has_no_units_of_the_next_one(ledger: Ledger) -> None:
    """Whose are recorded while its own record is missing: another reader did them at that time."""
    first, second = FILE.pieces
    for unit in range(7):
        ledger.record_unit(FILE, unit_report(unit))
    assert [report.unit for report in ledger.units(FILE, first)] == [0, 1, 2, 3]
    assert [report.unit for report in ledger.units(FILE, second)] == [4, 5, 6]


def test_units_are_those_of_one_file(ledger: Ledger) -> None:
    """Others have the same numbers."""
    ledger.record_unit(planned_file(13), unit_report(0))
    assert ledger.units(FILE, Piece(0)) == []


def test_units_of_a_file_that_was_replaced_count_for_nothing(ledger: Ledger) -> None:
    """Nor do those behind the first such unit, whatever their etag is."""
    ledger.record_unit(REPLACED, unit_report(0, etag="e2"))
    ledger.record_unit(FILE, unit_report(1))
    ledger.record_unit(REPLACED, unit_report(2, etag="e2"))
    assert ledger.units(FILE, Piece(0)) == []
    assert [report.unit for report in ledger.units(REPLACED, Piece(0))] == [0]


def test_a_unit_may_be_recorded_again(ledger: Ledger) -> None:
    """The last record stands."""
    ledger.record_unit(FILE, unit_report(0, etag="e0"))
    ledger.record_unit(FILE, unit_report(0))
    assert ledger.units(FILE, Piece(0)) == [unit_report(0)]


def test_pieces_are_read_back(ledger: Ledger) -> None:
    """By file and piece, those that failed too."""
    other = planned_file(20_000)
    failed = piece_report(piece=1, error="is damaged or cut")
    ledger.record_piece(FILE, failed)
    ledger.record_piece(FILE, piece_report(7, 2))
    ledger.record_piece(other, piece_report())
    assert ledger.pieces([FILE, other]) == {
        (3, 0): piece_report(7, 2),
        (3, 1): failed,
        (20_000, 0): piece_report(),
    }
    assert ledger.pieces([other]) == {(20_000, 0): piece_report()}


def test_pieces_of_a_file_that_was_replaced_count_for_nothing(ledger: Ledger) -> None:
    """Until they are done again."""
    ledger.record_piece(FILE, piece_report())
    ledger.record_piece(FILE, piece_report(piece=1))
    assert ledger.pieces([REPLACED]) == {}
    ledger.record_piece(REPLACED, piece_report(etag="e2"))
    assert ledger.pieces([REPLACED]) == {(3, 0): piece_report(etag="e2")}
    assert ledger.pieces([FILE]) == {(3, 1): piece_report(piece=1)}


def test_a_piece_that_is_repaired_is_recorded_without_its_error(ledger: Ledger) -> None:
    """The last record stands."""
    ledger.record_piece(FILE, piece_report(error="is damaged or cut"))
    ledger.record_piece(FILE, piece_report())
    assert ledger.pieces([FILE])[3, 0].error is None


def test_known_pieces_are_not_read_again(ledger: Ledger, output: Storage) -> None:
    """Of a run of many thousand pieces that would be most of the calls."""
    ledger.record_piece(FILE, piece_report())
    ledger.record_piece(FILE, piece_report(piece=1))
    (first, _) = output.list("run=r/_run/pieces")
    output.write(first.path, b"nobody reads this")
    assert ledger.pieces([FILE], {(3, 0)}) == {(3, 1): piece_report(piece=1)}
    with pytest.raises(InputError):
        ledger.pieces([FILE])


@pytest.mark.parametrize("raw", [b"", b"{", b'{"unit": 0}', b"\xff"])
def test_records_of_another_version(ledger: Ledger, output: Storage, raw: bytes) -> None:
    """The file is named, and the way out."""
    ledger.record_unit(FILE, unit_report(0))
    ledger.record_piece(FILE, piece_report())
    for info in output.list("run=r/_run"):
        output.write(info.path, raw)
    with pytest.raises(InputError, match=r"_run/units/00003-00000\.json .*--restart"):
        ledger.units(FILE, Piece(0))
    with pytest.raises(InputError, match=r"_run/pieces/00003-00000\.json .*--restart"):
        ledger.pieces([FILE])


def test_a_run_is_forgotten(ledger: Ledger, output: Storage) -> None:
    """All but its leases, which others may hold, and other runs; also when it was before."""
    other = Ledger(output, "r2")
    for each in (ledger, other):
        each.record_unit(FILE, unit_report(0))
        each.record_piece(FILE, piece_report())
    output.write("run=r/_run/plan.json", b"{}")
    output.write("run=r/scores/part-00003-00000.parquet", b"PAR1")
    with output.lease("run=r/_run/shard-00000") as lease:
        for _ in range(2):
            ledger.drop()
            lease.check()
            left = [info.path for info in output.list("run=r")]
            assert left == ["run=r/scores/part-00003-00000.parquet"]
    assert ledger.units(FILE, Piece(0)) == []
    assert ledger.pieces([FILE]) == {}
    assert other.units(FILE, Piece(0)) == [unit_report(0)]


def test_a_piece_is_the_sum_of_its_units() -> None:
    """Counts, codes, work and distribution; and which of its units have which parts."""
    units = [
        unit_report(4, 10, 0),
        unit_report(5, 0, 3, codes={"wrong_type": 2, "malformed": 1}),
        unit_report(6, 0, 0),
        unit_report(7, 6, 4, codes={"malformed": 4}, distribution=scores(6, 0.75), seconds=0.0004),
    ]
    found = summed(FILE, FILE.pieces[1], units, "is damaged or cut")
    assert list(found.codes) == ["malformed", "wrong_type"]
    assert found == PieceReport(
        piece=1,
        etag="e1",
        units=4,
        scored_units=[4, 7],
        rejected_units=[5, 7],
        counts=Counts(23, 16, 7),
        codes={"malformed": 5, "wrong_type": 2},
        distribution={"score": Distribution(16, 10 * 0.25 + 6 * 0.75, 0.25, 0.75)},
        seconds=1.5,
        error="is damaged or cut",
    )


def test_distributions_add_up_in_the_order_of_units() -> None:
    """So that the sums have the same bits, however the units were shared out."""
    values = [1e16, 1.0, -1e16, 1.0]
    units = [unit_report(i, 1, distribution=scores(1, v)) for i, v in enumerate(values)]
    assert summed(FILE, Piece(0), units).distribution["score"].total == 1.0
    turned = summed(FILE, Piece(0), sorted(units, key=lambda u: u.end.row % 3))
    assert turned.distribution["score"].total != 1.0


def test_a_piece_without_units() -> None:
    """An empty file."""
    report = summed(FILE, Piece(0), [])
    assert (report.counts, report.units, report.error) == (Counts(), 0, None)
    assert (report.codes, report.distribution, report.seconds) == ({}, {}, 0.0)


def test_the_etag_is_that_of_the_plan() -> None:
    """Not of units, which a replaced file has none of."""
    assert summed(REPLACED, Piece(0), []).etag == "e2"
