"""Through a frame a request's entries stay the same, whatever form their columns came in."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from adapters.parquet_log import log_table
from adapters.spool_frame import FrameEncoder
from adapters.spool_segment import encode_header, read_segment
from adapters.spool_table import segment_table
from scoring.inference_log import LogBatch
from scoring.model import ModelBundle
from tests.support.log_entries import INVALID, WIDE_ROWS, entries, wide_model
from tests.support.toy import NOW, load_toy, records


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


def through_a_segment(model: ModelBundle, batches: Sequence[LogBatch]) -> pa.Table:
    """The entries as an uploader gets them."""
    encode = FrameEncoder(model).encode
    segment = read_segment(encode_header(model) + b"".join(map(encode, batches)))
    assert segment is not None
    return segment_table(segment).sort_by("entry_id")


def straight(model: ModelBundle, batches: Sequence[LogBatch]) -> pa.Table:
    """The entries as a lane without a spool writes them."""
    tables = [log_table(model.schema, model.output_columns, batch) for batch in batches]
    return pa.concat_tables(tables).sort_by("entry_id")


def with_columns(batch: LogBatch, columns: Sequence[Any]) -> LogBatch:
    """The same entries with other feature columns."""
    records = replace(batch.scored.batch, columns=tuple(columns))
    return replace(batch, scored=replace(batch.scored, batch=records))


def test_requests_of_every_size_meet_in_one_table(toy: ModelBundle) -> None:
    """Scored and rejected, alone and together: each entry keeps its own cells, keys and times."""
    zone = timezone(timedelta(hours=2))
    batches = [
        entries(toy, records(size, seed=size), f"r{number}", NOW + timedelta(minutes=number))
        for number, size in enumerate([3, 1, 7, 1, 3, 2, 1])
    ]
    batches.append(entries(toy, [INVALID, *records(2), INVALID], "mixed"))
    batches.append(entries(toy, [INVALID], "rejected", datetime(2026, 1, 1, tzinfo=zone)))
    assert through_a_segment(toy, batches).equals(straight(toy, batches))


def test_each_entry_may_have_its_own_time(toy: ModelBundle) -> None:
    """And be rejected beside others that were not."""
    batch = entries(toy, [*records(2), INVALID, *records(1)], "r")
    times = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3, 4)]
    batches = [replace(batch, event_times=times), entries(toy, records(2), "s")]
    assert through_a_segment(toy, batches).equals(straight(toy, batches))


def test_every_type_and_null(toy: ModelBundle) -> None:
    """Bits and nulls of all types, of a model without a detector."""
    model = wide_model(toy)
    batches = [entries(model, WIDE_ROWS, "all"), entries(model, WIDE_ROWS[1:2], "one")]
    assert through_a_segment(model, batches).equals(straight(model, batches))


def test_columns_may_lie_anywhere_in_memory(toy: ModelBundle) -> None:
    """A column of a matrix of records, a part of another column, one that is read-only."""
    batch = entries(toy, records(4), "r")
    x, n, flag, name = batch.scored.batch.columns
    matrix = np.array([x, x * 2]).T.copy()
    longer = np.concatenate([n, n])
    flag = flag.copy()
    flag.setflags(write=False)
    moved = with_columns(batch, [matrix[:, 0], longer[::2][:4], flag, name])
    same = with_columns(batch, [x, longer[::2][:4].copy(), flag, name])
    assert not moved.scored.batch.columns[0].flags.c_contiguous
    assert through_a_segment(toy, [moved]).equals(straight(toy, [same]))


def test_texts_of_a_subclass_are_texts(toy: ModelBundle) -> None:
    """A pyfunc model may return NumPy's own strings as labels."""
    batch = entries(toy, records(2), "r")
    labels = np.array([np.str_("Yes"), np.str_("No")], dtype=object)
    outputs = {**batch.scored.outputs, "label": labels}
    batch = replace(batch, scored=replace(batch.scored, outputs=outputs))
    assert through_a_segment(toy, [batch])["label"].to_pylist() == ["Yes", "No"]


def test_a_column_of_another_width_is_refused(toy: ModelBundle) -> None:
    """It would shift every number behind it."""
    batch = entries(toy, records(2), "r")
    x, n, flag, name = batch.scored.batch.columns
    with pytest.raises(TypeError, match="dtype"):
        FrameEncoder(toy).encode(with_columns(batch, [x, n.astype(np.int32), flag, name]))
