"""The Arrow types that a feature can be read from."""

import io
import logging
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.arrow_types import ARROW_TYPES, misfit
from adapters.record_files.arrow_values import column_values
from adapters.record_files.chunks import Source
from adapters.record_files.parquet_reader import read_parquet
from scoring.schema import DTYPES, Feature, FieldType, Schema
from scoring.validation import validate_columns

NOON = datetime(2026, 3, 2, 12)
SAMPLES: list[Any] = [
    pa.array([True]),
    pa.array([1], pa.int8()),
    pa.array([1], pa.uint64()),
    pa.array([1.0], pa.float32()),
    pa.array([Decimal(1)], pa.decimal128(5, 2)),
    pa.array(["2026-03-02"]),
    pa.array(["2026-03-02"], pa.large_string()),
    pa.array(["2026-03-02"]).dictionary_encode(),
    pa.array([1.0]).dictionary_encode(),
    pa.array([NOON], pa.timestamp("us", "UTC")),
    pa.array([date(2026, 3, 2)]),
    pa.array([[1.0]]),
    pa.array([{"a": 1}]),
    pa.array([b"a"]),
    pa.array([time(1)]),
]
"""One column of each type; whatever the feature, its value fits if one of the type can."""


@pytest.mark.parametrize("kind", FieldType)
@pytest.mark.parametrize("column", SAMPLES, ids=lambda column: str(column.type))
def test_a_type_fits_exactly_where_its_values_do(kind: FieldType, column: pa.Array) -> None:
    """What is said of the type beforehand is what validation says of the value."""
    schema = Schema.from_signature([{"name": "f", "type": str(kind)}])
    accepted = not validate_columns(schema, {"f": column_values(column)}, ["r"]).rejections
    assert (misfit(Feature("f", kind), column.type) is None) == accepted


@pytest.mark.parametrize("kind", FieldType)
def test_what_is_written_of_a_feature_can_be_read(kind: FieldType) -> None:
    """And a column of nothing but nulls fits every feature."""
    assert misfit(Feature("f", kind), ARROW_TYPES[kind]) is None
    assert misfit(Feature("f", kind), pa.null()) is None
    assert ARROW_TYPES[kind].to_pandas_dtype() in (DTYPES[kind].type, DTYPES[kind])


def test_a_column_that_cannot_fit_is_named_before_its_records_are_rejected(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once for the file, with both types; the rejections are those of any other form."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": ["a", "b"], "x": [[1.0], [2.0]], "y": [1.0, 2.0]}), sink)
    sink.seek(0)
    columns = [{"name": name, "type": "double"} for name in ("x", "y", "z")]
    schema = Schema.from_signature([{**c, "required": c["name"] != "z"} for c in columns])
    with caplog.at_level(logging.WARNING):
        (chunk,) = read_parquet(sink, Source("f"), schema, "id", 9)
    (message,) = caplog.messages
    assert "column 'x' has the type list<element: double>, and the model takes double" in message
    assert [r.detail for r in chunk.validate(schema).rejections] == ["x: must be a number"] * 2
