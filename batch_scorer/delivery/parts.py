"""Part files: where they lie, and a unit's scores and rejected rows as their bytes.

A part's name depends on the places of its file and unit alone, and its bytes on the records, the
model and the packages: doing a unit again, in whatever process, gives the same file.
"""

import io
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from adapters.parquet_log import arrow_array
from batch_scorer.delivery.columns import (
    REJECTED_SCHEMA,
    reasons_array,
    row_numbers,
    scores_schema,
)
from batch_scorer.delivery.csv_parts import csv_bytes
from batch_scorer.run_manifest import run_directory
from scoring.model import ModelDescription
from scoring.records import Rejection, ScoredBatch

OutputFormat = Literal["parquet", "csv", "delta"]
"""A Delta table is made of Parquet parts."""

Kind = Literal["scores", "rejected"]

KINDS: Final[tuple[Kind, ...]] = ("scores", "rejected")

# Of a list of reasons, as Parquet names it.
_FEATURES: Final = "reasons.list.element.feature"


def part_path(
    kind: Kind, run_id: str, file: int, unit: int, output_format: OutputFormat = "parquet"
) -> str:
    """Where a part lies below the output."""
    ending = "csv" if output_format == "csv" else "parquet"
    return f"{run_directory(run_id)}/{kind}/part-{file:05d}-{unit:05d}.{ending}"


def scores_path(run_id: str, file: int, unit: int, output_format: OutputFormat = "parquet") -> str:
    """Where the scores of a unit lie below the output."""
    return part_path("scores", run_id, file, unit, output_format)


def rejected_path(
    run_id: str, file: int, unit: int, output_format: OutputFormat = "parquet"
) -> str:
    """Where the rejected rows of a unit lie below the output."""
    return part_path("rejected", run_id, file, unit, output_format)


class PartEncoder:
    """Encodes the parts of one run. Keeps nothing; safe to use from several threads."""

    def __init__(
        self, model: ModelDescription, output_format: OutputFormat, with_reasons: bool
    ) -> None:
        """With reasons every batch of scores must have them."""
        self.output_format: Final = output_format
        self._scores = scores_schema(model, with_reasons)
        self._outputs = [column.name for column in model.output_columns]

    def scores(
        self, file_name: str, rows: Sequence[int] | NDArray[np.int64], scored: ScoredBatch
    ) -> bytes:
        """The part of one unit's scored records, none or more; `rows` has their row numbers."""
        count, outliers, anomaly = len(scored), scored.outliers, scored.outlier_scores
        columns: list[Any] = [
            scored.batch.record_ids,
            *(scored.outputs[name] for name in self._outputs),
            pa.nulls(count, pa.bool_()) if outliers is None else outliers,
            pa.nulls(count, pa.float64()) if anomaly is None else anomaly,
            *(() if scored.reasons is None else (reasons_array(scored.reasons),)),
            _same(file_name, count),
            row_numbers(rows),
        ]
        return self._encoded(columns, self._scores)

    def rejected(self, file_name: str, rejections: Sequence[Rejection]) -> bytes:
        """The part of one unit's rejected rows; a rejection's position is its row number."""
        columns: list[Any] = [
            [r.record_id for r in rejections],
            _same(file_name, len(rejections)),
            [r.position for r in rejections],
            [str(r.code) for r in rejections],
            [r.detail for r in rejections],
        ]
        return self._encoded(columns, REJECTED_SCHEMA)

    def empty(self, kind: Kind) -> bytes:
        """A part without rows."""
        schema = self.schema(kind)
        return self._encoded([[] for _ in schema], schema)

    def schema(self, kind: Kind) -> pa.Schema:
        """The columns of a part, as it is read back from Parquet."""
        return self._scores if kind == "scores" else REJECTED_SCHEMA

    def _encoded(self, columns: Sequence[Any], schema: pa.Schema) -> bytes:
        arrays = [_arrow(c, field) for c, field in zip(columns, schema, strict=True)]
        table = pa.Table.from_arrays(arrays, names=schema.names)
        if self.output_format == "csv":
            return csv_bytes(table)
        sink = io.BytesIO()
        pq.write_table(table, sink, **parquet_options(schema))
        return sink.getvalue()


def _same(text: str, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text]))


def _arrow(column: Any, field: pa.Field) -> pa.Array:
    """A column as Arrow: text as a dictionary, except ids, of which each is another."""
    if isinstance(column, pa.Array):
        return column
    if _repeats(field):
        return arrow_array(column, pa.dictionary(pa.int32(), pa.string()))
    return arrow_array(column, field.type)


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """How parts of that schema, whose text may be dictionaries, are written.

    With dictionaries for text that repeats only: to look for some among ids and numbers costs more
    than all the rest (0.35 instead of 0.12 µs a record) and the file is no smaller. zstd at its
    lowest level makes two thirds of what snappy makes, at half as much time again. Without Arrow's
    own schema a reader sees plain text where the table has dictionaries.
    """
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": [*(f.name for f in schema if _repeats(f)), _FEATURES],
        "store_schema": False,
    }


def _repeats(field: pa.Field) -> bool:
    return bool(field.type == pa.string()) and field.name != "record_id"
