"""Files that lie below a table already, as one of its partitions.

The package can write the files too, but holds what it has not written yet in memory, without a
bound where the data comes faster than it is written.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from adapters.delta_tables.errors import translated
from adapters.delta_tables.places import DeltaPlace, place_of
from scoring.errors import InputError

if TYPE_CHECKING:
    from deltalake import DeltaTable, Schema

_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class NewFile:
    """A Parquet file without the partition's column: `path` relative to the table, `size` in bytes.

    Never was one of that path in the table.
    """

    path: str
    size: int
    rows: int


def replace_partition(
    url: str,
    secret: str | None,
    partition: tuple[str, str],
    schema: pa.Schema,
    files: Sequence[NewFile],
    retry_seconds: float = 0.0,
) -> None:
    """Make `files`, whose columns are those of `schema`, all that a partition, `(column, value)`,
    consists of; readers see all of it or nothing.

    The table is created when there is none, partitioned by that column; columns that it lacks are
    added. Files that were of the partition stay where they are until the table is vacuumed. Blocks
    on storage. Begins again, a few times, when another writer was faster. Raises InputError for a
    table whose columns are of other types or that is partitioned differently, TransientError when
    other writers were faster each time, StorageUnavailable, ConfigurationError.
    """
    name, value = partition
    place = place_of(url, secret, retry_seconds)
    with translated(place.url):
        from deltalake import Schema
        from deltalake.exceptions import CommitFailedError
        from deltalake.transaction import AddAction

        data = Schema.from_arrow(schema.append(pa.field(name, pa.string())))
        now = int(time.time() * 1000)
        added: list[Any] = [
            AddAction(f.path, f.size, {name: value}, now, True, json.dumps({"numRecords": f.rows}))
            for f in files
        ]
        for left in reversed(range(_ATTEMPTS)):
            try:
                table = _opened(place, data, name)
                together = _together(table.schema(), data, place.url)
                where = [(name, "=", value)]
                table.create_write_transaction(added, "overwrite", together, [name], where)
                return
            except CommitFailedError:
                if not left:
                    raise


def _opened(place: DeltaPlace, data: "Schema", column: str) -> "DeltaTable":
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    try:
        table = DeltaTable(place.uri, storage_options=place.options)
    except TableNotFoundError:
        options = place.options
        DeltaTable.create(
            place.uri, data, mode="ignore", partition_by=[column], storage_options=options
        )
        table = DeltaTable(place.uri, storage_options=options)
    if table.metadata().partition_columns != [column]:
        raise InputError(f"{place.url} is a Delta table not partitioned by {column} alone")
    return table


def _together(table: "Schema", data: "Schema", shown: str) -> "Schema":
    """The columns of the table and those it lacks: a commit states all."""
    from deltalake import Schema

    standing = {field.name: field.type for field in table.fields}
    for field in data.fields:
        if standing.get(field.name, field.type) != field.type:
            raise InputError(
                f"{shown} is a Delta table whose column '{field.name}' has another type"
            )
    new = [field for field in data.fields if field.name not in standing]
    return Schema([*table.fields, *new]) if new else table
