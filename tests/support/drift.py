"""References and windows for drift tests, made from NumPy columns without a log or a bundle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from monitoring.columns import selected
from monitoring.entries import LaneProfile
from monitoring.policy import Policy, read_policy
from monitoring.reference import Reference, profile_column, reference_of
from scoring.manifest import (
    FORMAT,
    BackendSpec,
    ColumnSpec,
    Manifest,
    OutlierSpec,
    OutputColumn,
    OutputSpec,
    ParitySpec,
    ReasonsSpec,
)

Columns = Mapping[str, NDArray[Any]]

POLICY_FILE = Path(__file__).parents[2] / "config" / "monitoring.json"
OUTPUTS = ("score", "outlier_score")


def shipped_policy() -> Policy:
    """The policy in config/."""
    return read_policy(POLICY_FILE)


def table_of(columns: Columns) -> pa.Table:
    """Columns as the log stores them; NaN and None are null."""
    return pa.table({n: pa.array(v, from_pandas=True) for n, v in columns.items()})


def manifest_of(columns: Columns) -> Manifest:
    """A manifest whose features are the columns; `score` and `outlier_score` are not features."""
    inputs = [ColumnSpec(n, _type(v), False) for n, v in columns.items() if n not in OUTPUTS]
    outputs = [OutputColumn("score", "double"), OutputColumn("label", "string")]
    outlier = OutlierSpec("outlier.onnx", [], 0.5) if "outlier_score" in columns else None
    return Manifest(
        format=FORMAT,
        digest="digest",
        name="toy",
        version="7",
        alias=None,
        role="champion",
        run_id=None,
        source="tests",
        source_digest="0" * 64,
        created="2026-03-02T12:00:00+00:00",
        inputs=inputs,
        ignored_fields=[],
        example=None,
        output=OutputSpec("binary", ["No", "Yes"], outputs, "Yes", "No", 0.5),
        backend=BackendSpec("onnx", "model.onnx"),
        outlier=outlier,
        parity=ParitySpec(0, 0.0, 0.0, None, []),
        reasons=ReasonsSpec("none", "not needed"),
        reference=None,
        files={},
    )


def reference_from(columns: Columns, policy: Policy) -> Reference:
    """A reference of these columns."""
    return reference_of(manifest_of(columns), "reference", table_of(columns), policy.profile)


def entries_from(reference: Reference, columns: Columns | pa.Table) -> LaneProfile:
    """A window's profile, of records that were all scored."""
    table = columns if isinstance(columns, pa.Table) else table_of(columns)
    values, unreadable = selected(table, reference.watched)
    profiles = {
        name: profile_column(known.profile.grid, values[name])
        for name, known in reference.columns.items()
    }
    return LaneProfile(table.num_rows, 0, profiles, dict.fromkeys(unreadable, table.num_rows))


def _type(values: NDArray[Any]) -> str:
    kinds = {"f": "double", "i": "long", "b": "boolean", "M": "datetime"}
    return kinds.get(np.asarray(values).dtype.kind, "string")
