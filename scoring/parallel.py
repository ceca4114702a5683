"""Calls of a backend: of the width it needs, and several at once where that helps."""

from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Final

import numpy as np

from scoring.model import Backend
from scoring.records import Column, RecordBatch

PART_ROWS: Final = 4096
"""Rows that are computed at once; a larger batch is cut. A multiple of every call width."""


def compute(
    backend: Backend, batch: RecordBatch, call_width: int | None, workers: Executor | None = None
) -> Mapping[str, Column]:
    """The backend's raw columns, in calls of exactly `call_width` rows unless that is None.

    A short last call is filled by repeating its last record. `batch` is not empty. With `workers`
    the parts of a large batch are computed side by side, which a backend that is not thread-safe
    does not allow. Raises ModelError.
    """
    if len(batch) <= PART_ROWS:
        return _part(backend, batch, call_width)
    starts = range(0, len(batch), PART_ROWS)
    batches = (batch.slice(start, start + PART_ROWS) for start in starts)
    calls = map if workers is None else workers.map
    return _joined(list(calls(lambda part: _part(backend, part, call_width), batches)))


def _part(backend: Backend, batch: RecordBatch, width: int | None) -> Mapping[str, Column]:
    if width is None or len(batch) == width:
        return backend.compute(batch)
    starts = range(0, len(batch), width)
    return _joined([_padded(backend, batch.slice(s, s + width), width) for s in starts])


def _padded(backend: Backend, batch: RecordBatch, width: int) -> Mapping[str, Column]:
    count = len(batch)
    if count == width:
        return backend.compute(batch)
    filled = batch.take([min(i, count - 1) for i in range(width)])
    return {name: column[:count] for name, column in backend.compute(filled).items()}


def _joined(parts: list[Mapping[str, Column]]) -> Mapping[str, Column]:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
