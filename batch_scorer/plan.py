"""What a run does: written once, before its first part, so that every attempt does the same."""

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from adapters.record_files.chunks import CsvDialect, ReadOptions
from adapters.record_files.reading import Format
from adapters.storage import Storage
from batch_scorer.run_manifest import ModelReport, run_directory
from scoring.errors import InputError

WORK: Final = "_run"
"""Below the run's directory: what is needed until the run is complete."""


class Piece(msgspec.Struct, frozen=True):
    """What one reader reads in order: a text file, or the row groups [first, last) of a Parquet
    file. Its units are numbered from `first_unit` within the file, its rows from `first_row` + 1.
    """

    index: int
    first_unit: int = 0
    first_row: int = 0
    groups: tuple[int, int] | None = None


class PlannedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of records.

    `index` is its place in the run and in the names of its parts. `path` is where it lies in the
    input storage (empty when the storage is that one file), `file` the same for people and for
    ids; `size` is in bytes, `etag` changes with the content, `rows` is None where the format does
    not say. `partitions` are the values of Hive partitions or of a Delta table's, None for null.
    `error` says why it cannot be read; it has no pieces then. Files of a Delta table are never
    changed, and their etag is made of what its log says (`of_table`).
    """

    index: int
    file: str
    path: str
    url: str
    size: int
    etag: str
    format: Format
    partitions: dict[str, str | None] = {}
    rows: int | None = None
    pieces: list[Piece] = []
    error: str | None = None
    of_table: bool = False

    @property
    def stored_etag(self) -> str | None:
        """The etag that the storage must still give, where the plan knows it."""
        return None if self.of_table else self.etag


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that what is written depends on; those of all attempts at a run are equal."""

    record_id_column: str
    chunk_records: int
    reasons: int
    columns: dict[str, str]
    delimiter: str
    quote: str
    encoding: str
    decimal: Literal[".", ","]
    output_format: Literal["parquet", "csv", "delta"]
    published: bool
    as_of: str | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A run. Times are ISO 8601 in UTC. `input` is the URL of the input storage, and `by_reference`
    says how the inference log gets the run.
    """

    format: int
    run_id: str
    input: str
    model: ModelReport
    shape: Shape
    event_time: str
    started_at: str
    by_reference: bool
    bins: dict[str, list[float]]
    files: list[PlannedFile]

    def read_options(self, file: PlannedFile) -> ReadOptions:
        """How the records of one of the files are to be understood."""
        shape = self.shape
        dialect = CsvDialect(shape.delimiter, shape.quote, shape.encoding, shape.decimal)
        return ReadOptions(shape.columns, file.partitions, dialect)

    def pieces(self, shard: int = 0, shards: int = 1) -> Iterator[tuple[PlannedFile, Piece]]:
        """The pieces of one of several shards, in order."""
        everything = [(file, piece) for file in self.files for piece in file.pieces]
        return iter(everything[shard::shards])


def plan_path(run_id: str) -> str:
    """Where the plan of a run lies below the output."""
    return f"{run_directory(run_id)}/{WORK}/plan.json"


def read_plan(output: Storage, run_id: str) -> Plan | None:
    """The plan of an unfinished run, or None. Blocks on storage. Raises InputError when there is
    one that cannot be read.
    """
    path = plan_path(run_id)
    if not output.exists(path):
        return None
    try:
        return msgspec.json.decode(output.read(path), type=Plan)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{output.url_of(path)} is no plan of this version; use --restart to begin anew"
        ) from error
