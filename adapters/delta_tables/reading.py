"""Which files a table has."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import pyarrow as pa

from adapters.delta_tables.errors import translated
from adapters.delta_tables.places import place_of
from scoring.errors import InputError

if TYPE_CHECKING:
    from deltalake import DeltaTable

_FACTS: Final = ("path", "size_bytes", "num_records")
_VECTORS: Final = "deletionVectors"
_MAPPING: Final = "delta.columnMapping.mode"
_HARMLESS: Final = frozenset(
    {"columnMapping", _VECTORS, "timestampNtz", "typeWidening", "typeWidening-preview"}
    | {"v2Checkpoint", "vacuumProtocolCheck"}
)
"""Features with which data files hold rows as any Parquet file does; the first two are checked."""


@dataclass(frozen=True, slots=True)
class DeltaFile:
    """One data file: `path` relative to the table, `size` in bytes, `rows` if the log says so, and
    the text of its partition values, None for null, which the file itself does not hold.
    """

    path: str
    size: int
    rows: int | None
    partitions: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class DeltaSnapshot:
    """A version of a table, and its files by path. They are never changed, only removed some time
    after a later version does without them.
    """

    version: int
    files: list[DeltaFile]


def read_table(url: str, secret: str | None = None, retry_seconds: float = 0.0) -> DeltaSnapshot:
    """The latest version of the table at a URL of the storage door; blocks on storage.

    Raises InputError when there is no table, or one whose files are more than they hold (deletion
    vectors, column mapping); StorageUnavailable, ConfigurationError.
    """
    place = place_of(url, secret, retry_seconds)
    with translated(place.url):
        from deltalake import DeltaTable

        table = DeltaTable(place.uri, storage_options=place.options)
        _check_readable(table, place.url)
        names = {f"partition.{name}": name for name in table.metadata().partition_columns}
        actions = pa.table(table.get_add_actions(flatten=True)).select([*_FACTS, *names])
        version = table.version()
    files = [
        DeltaFile(
            _relative(action["path"], place.url),
            action["size_bytes"],
            action["num_records"],
            {name: _text(action[column]) for column, name in names.items()},
        )
        for action in actions.to_pylist()
    ]
    return DeltaSnapshot(version, sorted(files, key=lambda file: file.path))


def _check_readable(table: "DeltaTable", shown: str) -> None:
    features = set(table.protocol().reader_features or ())
    if unknown := sorted(features - _HARMLESS):
        raise InputError(f"{shown} is a Delta table with the reader feature {unknown[0]}")
    if table.metadata().configuration.get(_MAPPING, "none") != "none":
        raise InputError(
            f"{shown} is a Delta table with column mapping: its files name columns differently; "
            "write a copy of it without"
        )
    if _VECTORS in features and next(iter(table.deletion_vectors()), None) is not None:
        raise InputError(
            f"{shown} is a Delta table with deletion vectors: its files hold rows that were "
            "deleted; REORG TABLE ... APPLY (PURGE) writes them without"
        )


def _relative(path: str, shown: str) -> str:
    if "://" in path or path.startswith("/"):
        raise InputError(f"{shown} is a Delta table with files of another one (a shallow clone)")
    return unquote(path)


def _text(value: object) -> str | None:
    """As a cell of a text file would hold it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value)
