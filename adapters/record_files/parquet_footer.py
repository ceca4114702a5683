"""The footer of a Parquet file: its row groups, and how its columns meet those of a model."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from adapters.arrow_types import misfit
from adapters.record_files.chunks import PLAIN, ReadOptions, Source
from scoring.errors import InputError
from scoring.schema import Schema


@dataclass(frozen=True, slots=True)
class Footer:
    """What a file says of itself without any of its data being read.

    `rows_per_group` has the rows of each row group, in order; `columns` are the columns as the file
    names them, and `created_by` what wrote them, "" when the file does not say.
    """

    rows_per_group: tuple[int, ...]
    columns: pa.Schema
    created_by: str

    @property
    def rows(self) -> int:
        """The rows of the file."""
        return sum(self.rows_per_group)


@dataclass(frozen=True, slots=True)
class MatchedColumns:
    """The columns of a file beside those of a model, by their names after renaming.

    `stored` gives the file's name of the id column and of each feature it has. Each record is
    rejected for a column that is `unknown` and for a required feature that is `missing`, neither
    column nor constant. `misfits` says of each other feature no value of which can fit, why.
    """

    stored: dict[str, str]
    unknown: tuple[str, ...]
    missing: tuple[str, ...]
    misfits: tuple[str, ...]


def read_footer(file: IO[bytes], source: Source) -> Footer:
    """The footer of a seekable file; blocks on it. Raises InputError when that is no whole Parquet
    file.
    """
    with as_input_error(source):
        parquet = pq.ParquetFile(file)
        return footer_of(parquet)


def footer_of(parquet: pq.ParquetFile) -> Footer:
    """The footer of a file that is open."""
    metadata = parquet.metadata
    rows = tuple(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
    return Footer(rows, parquet.schema_arrow, metadata.created_by or "")


def match_columns(
    columns: pa.Schema,
    source: Source,
    schema: Schema,
    id_column: str,
    options: ReadOptions = PLAIN,
) -> MatchedColumns:
    """How the columns of a file meet the schema. Raises InputError when none of them is the id
    column, or two have one name.
    """
    names = [options.columns.get(name, name) for name in columns.names]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{source.url} has the column '{twice[0]}' more than once")
    if id_column not in names:
        raise InputError(
            f"{source.url} has no column '{id_column}'; "
            "name the column with the record id by --record-id-column"
        )
    kinds = dict(zip(names, columns.types, strict=True))
    given = kinds.keys() | options.constants.keys()
    reasons = [misfit(f, kinds[f.name]) for f in schema.features if f.name in kinds]
    used = {id_column, *schema.names}
    return MatchedColumns(
        {ours: theirs for ours, theirs in zip(names, columns.names, strict=True) if ours in used},
        tuple(name for name in names if name not in schema.known and name != id_column),
        tuple(f.name for f in schema.features if f.required and f.name not in given),
        tuple(reason for reason in reasons if reason is not None),
    )


@contextmanager
def as_input_error(source: Source) -> Iterator[None]:
    """What Arrow cannot read as Parquet is an InputError that names the file; errors of the storage
    stay what they are.
    """
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{source.url} cannot be read as Parquet: it is damaged or cut") from error
