"""Inference log entries of toy models, a sink that refuses at first, and readers of the log."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from scoring.bundle_schema import manifest_schema
from scoring.errors import StorageUnavailable
from scoring.inference_log import LogBatch
from scoring.manifest import ColumnSpec
from scoring.model import ModelBundle, ModelDescription
from scoring.records import Column, RecordBatch
from scoring.score import score_valid
from scoring.validation import validate_rows
from tests.support.toy import NOW

INVALID: dict[str, Any] = {"x": "text", "n": None}
"""A record that the toy model does not take; its first broken rule is wrong_type."""


def entries(
    model: ModelBundle, rows: Sequence[Any], request_id: str, event_time: datetime = NOW
) -> LogBatch:
    """The entries of one request; invalid rows are rejected."""
    valid = validate_rows(model.schema, rows, [f"{request_id}/{i}" for i in range(len(rows))])
    scored, rejected = score_valid(model, valid)
    return LogBatch(
        lane="online",
        request_id=request_id,
        scored_at=NOW,
        scored=scored,
        rejected=rejected,
        entry_ids=[f"{request_id}-{i}" for i in range(len(rows))],
        event_times=[event_time] * len(rows),
    )


class _Half:
    """Computes 0.5 for every record of any model."""

    def compute(self, batch: RecordBatch) -> dict[str, Column]:
        half = np.full(len(batch), 0.5)
        return {"No": half, "Yes": half}


WIDE_INPUTS = [
    ColumnSpec("whole", "integer", required=False),
    ColumnSpec("big", "long", required=False),
    ColumnSpec("single", "float", required=False),
    ColumnSpec("double", "double", required=False),
    ColumnSpec("truth", "boolean", required=False),
    ColumnSpec("text", "string", required=False),
    ColumnSpec("when", "datetime", required=False),
    ColumnSpec("scored_at", "string"),
]
"""Every type, each optional, and a feature with the name of a log column."""

WIDE_ROWS: list[dict[str, Any]] = [
    {
        "whole": -3, "big": 2**62, "single": 0.1, "double": 0.1, "truth": True,
        "text": "Zürich", "when": "2026-03-02T01:02:03.000004Z", "scored_at": "a",
    },
    {"scored_at": "b"},
    {
        "whole": 7, "big": None, "single": 1.5, "double": None, "truth": False,
        "text": "", "when": "1969-12-31T23:59:59", "scored_at": "c",
    },
]  # fmt: skip


def wide_model(toy: ModelBundle) -> ModelBundle:
    """Another model: other columns, another digest, no detector."""
    manifest = msgspec.structs.replace(
        toy.manifest, version="8", digest="another", inputs=WIDE_INPUTS, outlier=None, example=None
    )
    return replace(
        toy, manifest=manifest, schema=manifest_schema(manifest), backend=_Half(), outlier=None
    )


class RefusingSink:
    """A `TableLog` in memory that refuses the first writes, or until told otherwise."""

    def __init__(self, refusals: int = 0) -> None:
        self.tables: list[pa.Table] = []
        self.attempts = 0
        self._refusals = refusals
        self._lock = threading.Lock()

    def write_table(self, table: pa.Table) -> None:
        """Raises StorageUnavailable while it refuses."""
        with self._lock:
            self.attempts += 1
            if self._refusals:
                self._refusals -= 1
                raise StorageUnavailable("the sink refuses")
            self.tables.append(table)

    def accept(self) -> None:
        """Refuse no more."""
        with self._lock:
            self._refusals = 0

    def open(self, _: ModelDescription) -> "RefusingSink":
        """This sink, for any model."""
        return self

    @property
    def entry_ids(self) -> list[str]:
        """Of everything that was written, in that order."""
        with self._lock:
            return [i for table in self.tables for i in table["entry_id"].to_pylist()]


def read_log(root: Path) -> pa.Table:
    """Every entry under a storage directory as one Parquet dataset, sorted by entry id."""
    dataset = ds.dataset(root / "inference-log", format="parquet")
    return dataset.to_table().sort_by("entry_id")
