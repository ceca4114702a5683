"""Proof, before a bundle is used, that its backend gives the registered model's scores, and gives
a record the same bits whatever batch it travels in.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from bundling.parity.edges import edge_cases
from scoring.errors import BundleError
from scoring.model import Backend
from scoring.parallel import compute
from scoring.records import Column, RecordBatch
from scoring.schema import Schema
from scoring.validation import validate_rows

TOLERANCE: Final = 1e-6
"""Largest accepted difference to the registered model, absolute below 1 and relative above."""

WIDTHS: Final = (1, 2, 3, 7, 32, 100, 1000)
"""Batch sizes at which the backend must give the same bits as on the whole parity set."""

CALL_WIDTH: Final = 32
"""Rows per call for a backend whose scores depend on the batch size: for scikit-learn a call of 32
rows costs about what a call of one does."""

PYFUNC_CALLS: Final = 300
"""Batches of each size that are tried with a model that is not compiled: each call takes a
millisecond at least, and some take fifty."""

PARITY_RECORDS: Final = 2000

_NULLS: Final = 0.1
"""Share of nulls in the mixtures' optional columns."""


def parity_batch(schema: Schema, rows: Sequence[Mapping[str, Any]]) -> RecordBatch:
    """2,000 records: the known ones, then mixtures of them; and `edge_cases` besides.

    Records that the schema refuses are left out.
    """
    known = [dict(row) for row in rows[:PARITY_RECORDS]]
    mixed = _mixtures(schema, known, PARITY_RECORDS - len(known)) if known else []
    candidates = known + mixed + edge_cases(schema, known)
    return validate_rows(schema, candidates, [str(i) for i in range(len(candidates))]).batch


def largest_difference(expected: Mapping[str, Column], actual: Mapping[str, Column]) -> float:
    """Over all columns: |a - b| / max(1, |a|) for numbers; infinite where anything else differs."""
    largest = 0.0
    for name, column in expected.items():
        other = actual[name]
        if column.dtype.kind in "fiub" and other.dtype.kind in "fiub":
            a, b = column.astype(np.float64), other.astype(np.float64)
            difference = np.abs(a - b) / np.maximum(1.0, np.abs(a))
            largest = max(largest, float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0)))
        elif [str(v) for v in column] != [str(v) for v in other]:
            return float("inf")
    return largest


def call_width(backend: Backend, batch: RecordBatch, most_calls: int | None = None) -> int | None:
    """How many rows every call of a backend must have for a record to get the same bits in any
    batch; None when any number does.

    Every record is computed alone and among others, because vectorised code treats the rest of a
    batch that fills no register differently. With `most_calls`, of each size no more than that many
    batches, spread over all records. Raises BundleError when no width is steady.
    """
    whole = backend.compute(batch)
    for width in WIDTHS:
        count = len(batch)
        if most_calls is not None:
            count = min(count, most_calls * width)
        some = np.linspace(0, len(batch) - 1, count).astype(np.intp)
        expected = {name: column[some] for name, column in whole.items()}
        if not _identical(expected, _in_parts(backend, batch.take(some), width)):
            return steady_call_width(backend, batch)
    return None


def steady_call_width(backend: Backend, batch: RecordBatch) -> int:
    """The width at which a record's bits depend neither on its neighbours nor on its place.

    32 where that holds, else 1. Raises BundleError when the model gives other bits for the very
    same call. Looks at a few hundred records at most, as each call may take tens of milliseconds.
    """
    batch = batch.slice(0, 8 * CALL_WIDTH)
    for width in (CALL_WIDTH, 1):
        straight = compute(backend, batch, width)
        moved = _rotated(backend, batch, width, shift=width // 2 + 1)
        if _identical(straight, moved):
            return width
    raise BundleError("the model gives different scores for the same records")


def _in_parts(backend: Backend, batch: RecordBatch, width: int) -> Mapping[str, Column]:
    starts = range(0, len(batch), width)
    parts = [backend.compute(batch.slice(start, start + width)) for start in starts]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _rotated(backend: Backend, batch: RecordBatch, width: int, shift: int) -> Mapping[str, Column]:
    """Scores of the batch taken in another order, put back in the first order."""
    count = len(batch)
    order = np.roll(np.arange(count)[::-1], shift)
    found = compute(backend, batch.take(order), width)
    back = np.argsort(order)
    return {name: column[back] for name, column in found.items()}


def _identical(a: Mapping[str, Column], b: Mapping[str, Column]) -> bool:
    return all(np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f") for name in a)


def _mixtures(
    schema: Schema, known: Sequence[Mapping[str, Any]], count: int
) -> list[dict[str, Any]]:
    """Records whose every value comes from some known record; floats are moved by up to a half, and
    what is optional is sometimes null.

    A model that carries one example only would otherwise be proved on that one.
    """
    random = np.random.default_rng(0)
    mixtures: list[dict[str, Any]] = []
    for _ in range(count):
        mixture: dict[str, Any] = {}
        for feature in schema.features:
            value = known[int(random.integers(len(known)))].get(feature.name)
            if isinstance(value, float):
                value *= random.uniform(0.5, 1.5)
            if not feature.required and random.random() < _NULLS:
                value = None
            mixture[feature.name] = value
        mixtures.append(mixture)
    return mixtures
