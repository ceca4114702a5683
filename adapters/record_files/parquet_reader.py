"""Parquet: columns keep their types, and a value no feature could take is rejected alone."""

import logging
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from adapters.arrow_types import is_text, is_time, misfit
from adapters.record_files.chunks import Chunk, Source
from scoring.errors import InputError
from scoring.schema import Schema
from scoring.values import Values

logger = logging.getLogger(__name__)


def read_parquet(
    file: IO[bytes], source: Source, schema: Schema, id_column: str, limit: int
) -> Iterator[Chunk]:
    """Chunks of at most `limit` rows, decoded as they are asked for.

    A column of a type that no value of the feature can have is named in a warning before the first
    chunk; its records are then rejected one by one, as in any other form. Raises InputError when
    the file is no whole Parquet file, has no id column, or has a column twice.
    """
    try:
        parquet = pq.ParquetFile(file)
        names = _checked_names(parquet.schema_arrow.names, source, id_column)
        unknown = [n for n in names if n not in schema.known and n != id_column]
        features = [n for n in schema.names if n in names]
        total, done = parquet.metadata.num_rows, 0
        _warn_of_misfits(parquet.schema_arrow, source, schema)
        for batch in parquet.iter_batches(limit, columns=[*{id_column, *features}]):
            count = batch.num_rows
            if not count:
                continue
            columns = {name: column_values(batch.column(name)) for name in features}
            columns |= {name: [None] * count for name in unknown}
            ids = column_values(batch.column(id_column))
            rows = range(done + 1, done + count + 1)
            done += count
            yield Chunk(rows, _plain(ids), columns, (), done / total)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{source.url} cannot be read as Parquet: it is damaged or cut") from error
    if done != total:
        raise InputError(f"{source.url} has {done} rows but promises {total}")


def column_values(column: pa.Array) -> Values:
    """An Arrow column as validation takes it: an array when it can be had without looking at each
    value, else a list with None for null.

    Decimals become numbers; dates and timestamps naive UTC date-times to the microsecond. Values
    of types no feature can hold (lists, structs, binary, times) become empty bytes, which no rule
    lets pass; so does text that is not UTF-8.
    """
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        plain: Values = (
            column.to_pylist() if column.null_count else column.to_numpy(zero_copy_only=False)
        )
        return plain
    if is_text(kind):
        return _texts(column)
    if types.is_decimal(kind):
        return [_number(value) for value in column.to_pylist()]
    if is_time(kind):
        return _datetimes(column)
    return [b"" if valid else None for valid in column.is_valid().to_pylist()]


def _checked_names(names: list[str], source: Source, id_column: str) -> set[str]:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{source.url} has the column '{twice[0]}' more than once")
    if id_column not in names:
        raise InputError(
            f"{source.url} has no column '{id_column}'; "
            "name the column with the record id by --record-id-column"
        )
    return set(names)


def _warn_of_misfits(columns: pa.Schema, source: Source, schema: Schema) -> None:
    for feature in schema.features:
        place = columns.get_field_index(feature.name)
        reason = None if place < 0 else misfit(feature, columns.field(place).type)
        if reason is not None:
            logger.warning("no value of a column fits: %s", reason, extra={"url": source.url})


def _plain(ids: Values) -> list[Any]:
    return ids.tolist() if isinstance(ids, np.ndarray) else list(ids)


def _texts(column: pa.Array) -> list[Any]:
    try:
        texts: list[Any] = column.to_numpy(zero_copy_only=False).tolist()
    except (UnicodeDecodeError, pa.ArrowException):
        return [_text(raw) for raw in column.cast(pa.large_binary()).to_pylist()]
    return texts


def _text(raw: bytes | None) -> str | bytes | None:
    try:
        return None if raw is None else raw.decode("utf-8")
    except UnicodeDecodeError:
        return b""


def _number(value: Decimal | None) -> float | None:
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)


def _datetimes(column: pa.Array) -> list[Any]:
    """datetime.datetime values; a time beyond what those can hold stays a number."""
    times = column.to_numpy(zero_copy_only=False)
    unit = times.dtype.str[-4:]
    if unit == "[ns]":
        times = times.astype("datetime64[us]")
    elif unit.endswith("[D]"):
        times = times.astype("datetime64[s]")
    values: list[Any] = times.tolist()
    return values
