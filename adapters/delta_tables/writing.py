"""One partition of a table replaced at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from adapters.delta_tables.errors import translated
from adapters.delta_tables.places import place_of
from scoring.errors import InputError

if TYPE_CHECKING:
    from deltalake import Schema


def write_table(
    url: str,
    secret: str | None,
    reader: pa.RecordBatchReader,
    partition_value: tuple[str, str],
    retry_seconds: float = 0.0,
) -> int:
    """Replace one partition of a table, `(column, value)`, by the data, and say which version that
    made; readers see all of it or nothing. Blocks on storage; holds some batches.

    The table is created with the schema of the data, partitioned by that column, which is added to
    data that lacks it. Columns that the table lacks are added to it. Doing it again leaves the same
    rows. Raises InputError for a table whose columns are of other types or that is partitioned
    differently, TransientError when another writer was faster, StorageUnavailable,
    ConfigurationError.
    """
    name, value = partition_value
    place = place_of(url, secret, retry_seconds)
    source = _Source(reader, name, value)
    with translated(place.url), source.telling_why():
        from deltalake import DeltaTable, Schema, write_deltalake

        schema = Schema.from_arrow(source.data.schema)
        if not DeltaTable.is_deltatable(place.uri, place.options):
            # Not by writing: of two that find no table, both would add their rows to it.
            DeltaTable.create(
                place.uri,
                schema,
                mode="ignore",
                partition_by=[name],
                storage_options=place.options,
            )
        table = DeltaTable(place.uri, storage_options=place.options)
        if table.metadata().partition_columns != [name]:
            raise InputError(f"{place.url} is a Delta table not partitioned by {name} alone")
        _check_types(table.schema(), schema, place.url)
        quoted = value.replace("'", "''")
        write_deltalake(
            table,
            source.data,
            mode="overwrite",
            predicate=f"{name} = '{quoted}'",
            schema_mode="merge",
        )
        return DeltaTable(place.uri, storage_options=place.options).version()


def _check_types(table: "Schema", data: "Schema", shown: str) -> None:
    """The package would convert values to the type of the table, and lose what does not fit."""
    standing = {field.name: field.type for field in table.fields}
    for field in data.fields:
        kind = standing.get(field.name, field.type)
        if kind != field.type:
            raise InputError(
                f"{shown} is a Delta table whose column '{field.name}' has another type: "
                f"{_shown_type(kind)}, and the data has {_shown_type(field.type)}"
            )


def _shown_type(kind: Any) -> str:
    return str(getattr(kind, "type", kind))


class _Source:
    """Batches with the column; what reading them raises comes back through the package as text."""

    def __init__(self, reader: pa.RecordBatchReader, name: str, value: str) -> None:
        self._reader = reader
        self._value = None if name in reader.schema.names else value
        self._failed: Exception | None = None
        schema = reader.schema
        if self._value is not None:
            schema = schema.append(pa.field(name, pa.string(), nullable=False))
        self.data = pa.RecordBatchReader.from_batches(schema, self._batches(schema))

    @contextmanager
    def telling_why(self) -> Iterator[None]:
        """Raises what reading raised in place of what was made of it."""
        try:
            yield
        except Exception:
            if self._failed is not None:
                raise self._failed from None
            raise

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._reader:
                if self._value is not None:
                    column = pa.repeat(pa.scalar(self._value), batch.num_rows)
                    columns = [*batch.columns, column]
                    batch = pa.RecordBatch.from_arrays(columns, schema=schema)
                yield batch
        except Exception as error:
            self._failed = error
            raise
