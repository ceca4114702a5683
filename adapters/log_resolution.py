"""From a reference to its entries: the rows that the log would have had, unit by unit.

Features are read and validated as they were when they were scored; outputs and rejections come from
the run's part files. Both are joined by the number of the row in its file.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from adapters.log_references import LogReference
from adapters.parquet_log import Same, key_array, log_schema, value_array
from adapters.record_files.chunks import Chunk
from adapters.record_files.reading import read_chunks
from adapters.referenced_parts import Parts, read_parts
from adapters.storage import Storage
from scoring.errors import ConfigurationError, InputError
from scoring.identifiers import batch_entry_ids
from scoring.inference_log import KEY_COLUMNS, OUTLIER_COLUMN, SCHEMA_VERSION, LogLayout
from scoring.model import ModelDescription
from scoring.records import Column

Opener = Callable[[str], Storage]
"""Opens the storage at a URL of a reference. Raises ConfigurationError."""


def resolve(
    reference: LogReference,
    model: ModelDescription,
    opened: Opener,
    problem: Callable[[str], None],
    columns: Collection[str] | None = None,
) -> Iterator[pa.Table]:
    """The entries of a reference as rows of the log: one table per unit, first what was scored and
    then what was rejected, each in the order of the rows. Holds one unit at a time.

    `columns` of the log are given, all of them by default. `problem` is told, in words without any
    record's value, what cannot be had. Where the input is not what was scored any more, the columns
    of the features are absent; a unit whose parts cannot be read is left out. Blocks on storage.
    Raises StorageUnavailable.
    """
    try:
        output = opened(reference.output)
    except ConfigurationError as error:
        problem(str(error))
        return
    layout, received = _Layout(reference, model, columns), 0
    whole = True
    chunks = _chunks(reference, model, opened, problem)
    for number, unit in enumerate(reference.units):
        chunk = next(chunks, None)
        try:
            parts = read_parts(output, unit, model.output_columns)
        except (ConfigurationError, InputError) as error:  # gone, damaged, or not for us to read
            problem(str(error))
            whole = False
            continue
        features = None if chunk is None else _features(chunk, parts, model)
        if chunk is not None and features is None:
            problem(f"{reference.file}: the rows of unit {number} are not those that were scored")
        del chunk  # before the next one is read
        received += len(parts.rows) + len(parts.rejected_rows)
        yield layout.table(parts, features)
    if whole and received != reference.received:
        problem(f"{reference.file}: {received} entries where {reference.received} were received")


class _Layout:
    """The columns of the log that are wanted, and what stands in them."""

    def __init__(
        self, reference: LogReference, model: ModelDescription, columns: Collection[str] | None
    ) -> None:
        names = LogLayout.of(model.schema, model.output_columns)
        self._reference = reference
        self._features = tuple(names.features.values())
        self._outputs = tuple(names.outputs.values())
        everything = log_schema(model.schema, model.output_columns)
        self._fields = [f for f in everything if columns is None or f.name in columns]

    def table(self, parts: Parts, features: Sequence[Column] | None) -> pa.Table:
        """The rows of one unit; without `features` without their columns."""
        values: dict[str, Column | pa.Array] = {
            **dict(zip(self._outputs, parts.outputs, strict=True)),
            **dict(zip(self._features, features or (), strict=features is not None)),
            OUTLIER_COLUMN: parts.outlier_scores,
        }
        keys, missing = self._keys(parts), len(parts.rejected_rows)
        count = len(parts.rows) + missing
        fields = [f for f in self._fields if f.name in values or f.name in KEY_COLUMNS]
        arrays = [
            key_array(keys[field.name](), field.type, count)
            if field.name in KEY_COLUMNS
            else value_array(values[field.name], missing, field.type)
            for field in fields
        ]
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields))

    def _keys(self, parts: Parts) -> Mapping[str, Callable[[], Any]]:
        known = self._reference
        scored, missing = len(parts.rows), len(parts.rejected_rows)
        return {
            "schema_version": lambda: Same(SCHEMA_VERSION),
            "entry_id": lambda: batch_entry_ids(
                known.request_id,
                known.file,
                known.model_digest,
                [*parts.rows.tolist(), *parts.rejected_rows.tolist()],
            ),
            "record_id": lambda: pa.concat_arrays([parts.record_ids, parts.rejected_ids]),
            "lane": lambda: Same(known.lane),
            "request_id": lambda: Same(known.request_id),
            "model_name": lambda: Same(known.model_name),
            "model_version": lambda: Same(known.model_version),
            "model_digest": lambda: Same(known.model_digest),
            "event_time": lambda: Same(known.event_time),
            "scored_at": lambda: Same(known.scored_at),
            "outcome": lambda: pa.concat_arrays(
                [pa.repeat("scored", scored), pa.repeat("rejected", missing)]
            ),
            "rejection_code": lambda: pa.concat_arrays(
                [pa.nulls(scored, pa.string()), parts.codes]
            ),
        }


def _chunks(
    reference: LogReference,
    model: ModelDescription,
    opened: Opener,
    problem: Callable[[str], None],
) -> Iterator[Chunk]:
    """The chunks that the units were made of, as long as the input gives them."""
    known = reference.input
    count = 0
    try:
        source = opened(known.storage)
        url = source.url_of(known.path).rstrip("/")
        chunks = read_chunks(
            source,
            known.path,
            url,
            known.size,
            known.format,
            model.schema,
            known.record_id_column,
            known.chunk_records,
            known.options,
            known.start,
            known.groups,
            known.etag,
        )
        for chunk in islice(chunks, len(reference.units)):
            count += 1
            yield chunk
            del chunk  # before the next one is read
        if count < len(reference.units):
            raise InputError(f"{url} has fewer rows than were scored")
    except (ConfigurationError, InputError) as error:
        problem(str(error))


def _features(chunk: Chunk, parts: Parts, model: ModelDescription) -> Sequence[Column] | None:
    """The features of the scored rows; None when the chunk has other rows than the parts."""
    unreadable = [row for row, _ in chunk.unreadable]
    there = np.sort(np.concatenate([np.asarray(chunk.rows, np.int64), unreadable]))
    wanted = np.sort(np.concatenate([parts.rows, parts.rejected_rows]))
    if not np.array_equal(there, wanted):
        return None
    valid = chunk.validate(model.schema)
    rows = np.asarray(chunk.rows, dtype=np.int64)[valid.positions]
    if np.array_equal(rows, parts.rows):
        return valid.batch.columns
    at = np.flatnonzero(np.isin(rows, parts.rows))  # the model failed on the others
    return valid.batch.take(at).columns if np.array_equal(rows[at], parts.rows) else None
