"""From a file in storage to chunks of records, whatever its format."""

from collections.abc import Iterator
from typing import Final, Literal, assert_never

from adapters.record_files.chunks import PLAIN, START, Chunk, Position, ReadOptions, Source
from adapters.record_files.csv_reader import read_csv
from adapters.record_files.jsonl_reader import read_jsonl
from adapters.record_files.parquet_reader import read_parquet
from adapters.storage import Storage
from scoring.schema import Schema

Format = Literal["csv", "jsonl", "parquet"]

FORMATS: Final[tuple[Format, ...]] = ("csv", "jsonl", "parquet")


def read_chunks(
    storage: Storage,
    path: str,
    url: str,
    size: int,
    kind: Format,
    schema: Schema,
    id_column: str,
    limit: int,
    options: ReadOptions = PLAIN,
    start: Position = START,
    groups: tuple[int, int] | None = None,
    etag: str | None = None,
) -> Iterator[Chunk]:
    """The rows of a file in order from `start`, `limit` at a time; the same file gives the same
    chunks, wherever reading began.

    Of a Parquet file with `groups` only those row groups, [first, last), are read, and `start`
    counts in the file. `url` and `size` are what errors and progress say of the file; with an
    `etag` the file must still have it. The id column is taken out of the records unless the model
    has a feature of that name. Blocks on storage. Raises InputError when the file as a whole cannot
    be read, or not any further, or has changed; ConfigurationError, StorageUnavailable.
    """
    source = Source(url, size)
    with storage.open(path, etag) as file:
        match kind:
            case "csv":
                yield from read_csv(file, source, schema, id_column, limit, options, start)
            case "jsonl":
                yield from read_jsonl(file, source, schema, id_column, limit, options, start)
            case "parquet":
                yield from read_parquet(
                    file, source, schema, id_column, limit, options, start, groups
                )
            case _:
                assert_never(kind)
