"""From a file in storage to chunks of records."""

from collections.abc import Callable, Iterator, Mapping
from typing import IO, Final

from adapters.record_files.chunks import Chunk, Source
from adapters.record_files.csv_reader import read_csv
from adapters.record_files.jsonl_reader import read_jsonl
from adapters.record_files.parquet_reader import read_parquet
from adapters.storage import Storage
from batch_scorer.inputs import Format, InputFile
from scoring.schema import Schema

_Reader = Callable[[IO[bytes], Source, Schema, str, int], Iterator[Chunk]]

_READERS: Final[Mapping[Format, _Reader]] = {
    "csv": read_csv,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
}


def read_chunks(
    storage: Storage, source: InputFile, schema: Schema, id_column: str, limit: int
) -> Iterator[Chunk]:
    """All rows of a file in order, `limit` at a time; the same file gives the same chunks.

    The id column is taken out of the records unless the model has a feature of that name. Blocks
    on storage. Raises InputError when the file as a whole cannot be read, StorageUnavailable.
    """
    with storage.open(source.path) as file:
        yield from _READERS[source.format](
            file, Source(source.url, source.size), schema, id_column, limit
        )
