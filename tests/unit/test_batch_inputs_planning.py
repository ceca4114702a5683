"""What of each file is read: pieces, or an error in words."""

import io
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from adapters.record_files.parquet_footer import Footer, MatchedColumns
from adapters.storage import Storage, open_storage
from batch_scorer.inputs.listing import find_files
from batch_scorer.inputs.planning import UNITS_IN_PIECE, Reading, pieces_of, planned
from batch_scorer.plan import Piece, PlannedFile
from scoring.schema import Schema

SCHEMA = Schema.from_signature(
    [{"name": "x", "type": "double"}, {"name": "land", "type": "string"}]
)
READING = Reading(SCHEMA, "id", {}, 10)


def parquet(rows: int, group: int, **columns: pa.Array) -> bytes:
    """A file with row groups of `group` rows."""
    sink = io.BytesIO()
    table = pa.table({"id": [str(i) for i in range(rows)], "x": [0.5] * rows, **columns})
    pq.write_table(table, sink, row_group_size=group)
    return sink.getvalue()


def plan(directory: Path, reading: Reading = READING) -> list[PlannedFile]:
    """The planned files of a directory."""
    listing = find_files(str(directory))
    return planned(listing.storage, listing.files, reading)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """The input."""
    return open_storage(str(tmp_path))


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([], []),
        ([0], []),
        ([1], [Piece(0, 0, 0, (0, 1))]),
        ([10, 10, 10, 9, 1, 5], [Piece(0, 0, 0, (0, 5)), Piece(1, 4, 40, (5, 6))]),
        (
            [95, 41, 3],
            [Piece(0, 0, 0, (0, 1)), Piece(1, 10, 95, (1, 2)), Piece(2, 15, 136, (2, 3))],
        ),
        ([40, 0, 0], [Piece(0, 0, 0, (0, 1))]),
        ([0, 40, 0, 1], [Piece(0, 0, 0, (0, 2)), Piece(1, 4, 40, (2, 4))]),
    ],
)
def test_row_groups_are_gathered(groups: Sequence[int], expected: list[Piece]) -> None:
    """Whole groups until four units are full; units and rows are numbered on; no piece is empty."""
    assert UNITS_IN_PIECE == 4
    assert pieces_of(groups, 10) == expected


def test_files_of_every_format(storage: Storage, tmp_path: Path) -> None:
    """Parquet has rows and pieces of row groups, text one piece that is read to its end."""
    storage.write("a.csv.gz", b"")
    storage.write("b.parquet", parquet(90, 30))
    storage.write("c.parquet", parquet(0, 30))
    text, table, empty = plan(tmp_path)
    assert (text.rows, text.pieces) == (None, [Piece(0)])
    assert (table.rows, table.pieces) == (
        90,
        [Piece(0, 0, 0, (0, 2)), Piece(1, 6, 60, (2, 3))],
    )
    assert (empty.rows, empty.pieces, empty.error) == (0, [], None)


def test_files_that_cannot_be_read_hinder_no_others(storage: Storage, tmp_path: Path) -> None:
    """Each has its error in words and nothing to be done."""
    storage.write("a.parquet", b"no Parquet")
    storage.write("b.parquet", parquet(20, 10)[:-9])
    storage.write("c.parquet", parquet(20, 10))
    storage.write("d.parquet", parquet(20, 10))
    storage.write("e.parquet", parquet(20, 10))
    listing = find_files(str(tmp_path))
    (tmp_path / "c.parquet").unlink()
    storage.write("d.parquet", parquet(21, 10))
    files = planned(listing.storage, listing.files, READING)
    assert [file.file for file in files if file.pieces] == ["e.parquet"]
    said = [file.error and file.error.removeprefix(f"{file.url} ") for file in files]
    assert said == [
        "cannot be read as Parquet: it is damaged or cut",
        "cannot be read as Parquet: it is damaged or cut",
        "does not exist",
        "changed since it was listed",
        None,
    ]
    assert all(file.rows is None for file in files[:4])


def test_the_id_column_is_looked_for_after_renaming(storage: Storage, tmp_path: Path) -> None:
    """A file without it is told at once, and what it has instead to who looks."""
    storage.write("a.parquet", parquet(20, 10))
    [file] = plan(tmp_path, Reading(SCHEMA, "key", {"id": "key"}, 10))
    assert file.error is None
    [file] = plan(tmp_path, Reading(SCHEMA, "id", {"id": "key"}, 10))
    assert file.error is not None
    assert file.error.startswith(f"{file.url} has no column 'id'")


def test_partitions_are_renamed(storage: Storage, tmp_path: Path) -> None:
    """A partition is a column like any other."""
    storage.write("country=DE/a.parquet", parquet(20, 10))
    [file] = plan(tmp_path, Reading(SCHEMA, "id", {"country": "land"}, 10))
    assert file.partitions == {"land": "DE"}


def test_columns_are_shown_to_who_looks(storage: Storage, tmp_path: Path) -> None:
    """Missing, unknown and misfitting columns of every Parquet file that could be opened."""
    storage.write("a.parquet", parquet(20, 10, y=pa.array([1] * 20)))
    storage.write("b.parquet", b"no Parquet")
    seen: list[tuple[str, MatchedColumns | None]] = []

    def looked(file: PlannedFile, footer: Footer, found: MatchedColumns | None) -> None:
        seen.append((file.file, found))
        assert footer.rows == 20

    listing = find_files(str(tmp_path))
    planned(listing.storage, listing.files, READING, looked=looked)
    [(name, found)] = seen
    assert found is not None
    assert (name, found.unknown, found.missing) == ("a.parquet", ("y",), ("land",))


def test_known_files_are_not_opened_again(storage: Storage, tmp_path: Path) -> None:
    """Unless they changed, or could not be read before; the new index counts."""
    for name in ("a", "b", "c"):
        storage.write(f"{name}.parquet", parquet(20, 10))
    storage.write("d.parquet", b"no Parquet")
    known = plan(tmp_path)
    known[3] = replace(known[3], error="was unreadable in another way")
    storage.write("c.parquet", parquet(30, 10))
    seen: list[str] = []
    listing = find_files(str(tmp_path))
    again = planned(
        listing.storage,
        listing.files[1:],
        READING,
        known,
        lambda file, *_: seen.append(file.file),
    )
    assert seen == ["c.parquet"]
    assert [(file.index, file.file, file.rows) for file in again] == [
        (0, "b.parquet", 20),
        (1, "c.parquet", 30),
        (2, "d.parquet", None),
    ]
    assert again[0].pieces == known[1].pieces
    assert again[2].error is not None
    assert again[2].error.endswith("cannot be read as Parquet: it is damaged or cut")
