"""The columns of scores and of rejected rows."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from adapters.parquet_log import log_schema
from scoring.inference_log import LogLayout
from scoring.model import ModelDescription
from scoring.records import Reasons

RUN_ID: Final = "run_id"
"""The column by which a Delta table of many runs is partitioned."""

_OUTLIER: Final = [pa.field("outlier", pa.bool_()), pa.field("outlier_score", pa.float64())]
_WHERE: Final = [pa.field("file", pa.string()), pa.field("row", pa.int64())]

# The item is named as Parquet names it, so that what is read back has the same type.
REASONS_TYPE: Final = pa.list_(
    pa.field("element", pa.struct([("feature", pa.string()), ("contribution", pa.float64())]))
)

REJECTED_SCHEMA: Final = pa.schema(
    [
        pa.field("record_id", pa.string()),
        *_WHERE,
        pa.field("code", pa.string()),
        pa.field("detail", pa.string()),
    ]
)

_RESERVED: Final = frozenset(
    {"record_id", "outlier", "outlier_score", "reasons", "file", "row", RUN_ID}
)


def scores_schema(model: ModelDescription, with_reasons: bool) -> pa.Schema:
    """record_id, the outputs, outlier and outlier_score (null without a detector), reasons if they
    are asked for, file, row.

    An output that would meet another column, or the one a Delta table adds, gets the prefix
    `output.`.
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


def row_numbers(rows: Sequence[int] | NDArray[np.int64]) -> pa.Array:
    """Row numbers as they stand in a part."""
    if isinstance(rows, range):
        return pa.array(np.arange(rows.start, rows.stop, rows.step, dtype=np.int64))
    return pa.array(np.asarray(rows, dtype=np.int64))
