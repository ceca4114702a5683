"""Part files: `scores/part-<file>-<chunk>.parquet` and `rejected/part-<file>-<chunk>.parquet`."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from adapters.parquet_log import arrow_array, log_schema, parquet_bytes
from adapters.storage import Storage
from batch_scorer.run_manifest import run_directory
from scoring.inference_log import LogLayout
from scoring.model import ModelBundle
from scoring.records import Reasons, Rejection, ScoredBatch

_OUTLIER: Final = [pa.field("outlier", pa.bool_()), pa.field("outlier_score", pa.float64())]
_WHERE: Final = [pa.field("file", pa.string()), pa.field("row", pa.int64())]

REASONS_TYPE: Final = pa.list_(
    pa.struct([pa.field("feature", pa.string()), pa.field("contribution", pa.float64())])
)

REJECTED_SCHEMA: Final = pa.schema(
    [
        pa.field("record_id", pa.string()),
        *_WHERE,
        pa.field("code", pa.string()),
        pa.field("detail", pa.string()),
    ]
)

_RESERVED: Final = frozenset({"record_id", "outlier", "outlier_score", "file", "row"})


def scores_schema(model: ModelBundle, with_reasons: bool) -> pa.Schema:
    """record_id, the outputs, outlier and outlier_score (null without a detector), reasons if they
    are asked for, file, row.

    An output that would meet one of the other columns gets the prefix `output.`.
    """
    log = log_schema(model.schema, model.output_columns)
    names = LogLayout.of(model.schema, model.output_columns).outputs
    outputs = [
        log.field(names[c.name]).with_name(f"output.{c.name}" if c.name in _RESERVED else c.name)
        for c in model.output_columns
    ]
    reasons = [pa.field("reasons", REASONS_TYPE)] if with_reasons else []
    return pa.schema([pa.field("record_id", pa.string()), *outputs, *_OUTLIER, *reasons, *_WHERE])


def reasons_array(reasons: Reasons) -> pa.Array:
    """One list of reasons per record, of `REASONS_TYPE`."""
    records, count = reasons.places.shape
    features = pa.array(reasons.features, pa.string()).take(pa.array(reasons.places.ravel()))
    values = pa.StructArray.from_arrays(
        [features, pa.array(reasons.contributions.ravel())], fields=list(REASONS_TYPE.value_type)
    )
    offsets = pa.array(np.arange(records + 1, dtype=np.int32) * count)
    return pa.ListArray.from_arrays(offsets, values, type=REASONS_TYPE)


class PartWriter:
    """Writes the parts of one run.

    A part's name depends on the places of its file and chunk alone, and its content on the input,
    the model and the chunk size: writing it again gives the same file.
    """

    def __init__(
        self, output: Storage, run_id: str, model: ModelBundle, with_reasons: bool
    ) -> None:
        """With reasons every batch of scores must have them."""
        self._output = output
        self._root = run_directory(run_id)
        self._model = model
        self._scores = scores_schema(model, with_reasons)
        self._written: set[str] = set()

    def write_scores(
        self, file: int, chunk: int, name: str, rows: Sequence[int], scored: ScoredBatch
    ) -> None:
        """The scored records of one chunk, none or more; blocks on storage."""
        missing = pa.nulls(len(scored))
        outliers, anomaly = scored.outliers, scored.outlier_scores
        columns: list[Any] = [
            list(scored.batch.record_ids),
            *(scored.outputs[column.name] for column in self._model.output_columns),
            missing if outliers is None else outliers,
            missing if anomaly is None else anomaly,
            *(() if scored.reasons is None else (reasons_array(scored.reasons),)),
            [name] * len(scored),
            rows,
        ]
        self._write("scores", file, chunk, self._scores, columns)

    def write_rejected(
        self, file: int, chunk: int, name: str, rejections: Sequence[Rejection]
    ) -> None:
        """The rejected rows of one chunk; a rejection's position is its row. Blocks on storage."""
        columns: list[Any] = [
            [r.record_id for r in rejections],
            [name] * len(rejections),
            [r.position for r in rejections],
            [str(r.code) for r in rejections],
            [r.detail for r in rejections],
        ]
        self._write("rejected", file, chunk, REJECTED_SCHEMA, columns)

    def finish(self) -> None:
        """Make both directories readable and drop what is no part of this run.

        Without any row a directory gets one empty part, so that it exists and has its columns.
        Parts that this run did not write are left from an attempt with other input or settings.
        """
        for kind, schema in (("scores", self._scores), ("rejected", REJECTED_SCHEMA)):
            directory = f"{self._root}/{kind}"
            if not any(path.startswith(f"{directory}/") for path in self._written):
                self._put(kind, 0, 0, schema.empty_table())
            for info in self._output.list(directory):
                if info.path not in self._written:
                    self._output.delete(info.path)

    def _write(
        self, kind: str, file: int, chunk: int, schema: pa.Schema, columns: Sequence[Any]
    ) -> None:
        if not len(columns[0]):
            return
        arrays = [
            column if isinstance(column, pa.Array) else arrow_array(column, field.type)
            for field, column in zip(schema, columns, strict=True)
        ]
        self._put(kind, file, chunk, pa.Table.from_arrays(arrays, schema=schema))

    def _put(self, kind: str, file: int, chunk: int, table: pa.Table) -> None:
        path = f"{self._root}/{kind}/part-{file:05d}-{chunk:05d}.parquet"
        self._output.write(path, parquet_bytes(table))
        self._written.add(path)
