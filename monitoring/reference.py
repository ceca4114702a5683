"""The training reference of a bundle, profiled once when the worker starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from monitoring.columns import WatchedColumn, selected, watched_columns
from monitoring.policy import ProfilePolicy
from monitoring.profile import (
    CategoryGrid,
    NumericGrid,
    Profile,
    category_grid,
    numeric_grid,
    profile_categories,
    profile_numbers,
)
from scoring.errors import BundleError
from scoring.manifest import Manifest, read_manifest, verify_files
from scoring.records import ModelVersion


@dataclass(frozen=True, slots=True)
class ReferenceColumn:
    """One column of the reference: its profile, and mean and standard deviation of its numbers.

    The deviation is the population's (divided by n); both are NaN for categories.
    """

    profile: Profile
    mean: float
    deviation: float


@dataclass(frozen=True)
class Reference:
    """What windows are compared with.

    `columns` is keyed by name in the log and lacks those of which the reference has no value.

    `reference_id` is the SHA-256 of the reference file; `records` its number of rows.
    """

    model: ModelVersion
    reference_id: str
    records: int
    watched: tuple[WatchedColumn, ...]
    columns: Mapping[str, ReferenceColumn]


def load_reference(bundle: Path, policy: ProfilePolicy) -> Reference:
    """Verify the bundle and profile its reference. Reads every file of the bundle, loads no model.

    Raises BundleError naming the file that is missing, altered or not readable.
    """
    manifest = read_manifest(bundle)
    verify_files(bundle, manifest)
    if manifest.reference is None:
        raise BundleError(f"{bundle} has no reference; package a model that was logged with one")
    path = bundle / manifest.reference.path
    try:
        table = pq.read_table(path, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise BundleError(f"{path} is not a readable Parquet file") from error
    return reference_of(manifest, manifest.files[manifest.reference.path], table, policy)


def reference_of(
    manifest: Manifest, reference_id: str, table: pa.Table, policy: ProfilePolicy
) -> Reference:
    """Profile a reference table, which has the inference log's column names."""
    watched = watched_columns(manifest)
    values, _ = selected(table, watched)
    columns: dict[str, ReferenceColumn] = {}
    for column in watched:
        profiled = _profiled(values[column.column], column, policy)
        if profiled is not None:
            columns[column.column] = profiled
    model = ModelVersion(manifest.name, manifest.version, manifest.digest)
    return Reference(model, reference_id, table.num_rows, watched, columns)


def profile_column(grid: NumericGrid | CategoryGrid, values: pa.ChunkedArray) -> Profile:
    """Count a column as `selected` gives it on the grid of its reference."""
    if isinstance(grid, NumericGrid):
        return profile_numbers(grid, values.to_numpy())
    names, counts = _value_counts(values)
    return profile_categories(grid, names, counts, values.null_count)


def _profiled(
    values: pa.ChunkedArray, column: WatchedColumn, policy: ProfilePolicy
) -> ReferenceColumn | None:
    if not column.is_numeric:
        names, counts = _value_counts(values)
        if not names:
            return None
        grid = category_grid(names, counts, policy.exact_values)
        return ReferenceColumn(profile_column(grid, values), np.nan, np.nan)
    numbers = values.to_numpy()
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        return None
    numeric = numeric_grid(numbers, policy.exact_values, policy.bins)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = float(finite.mean()), float(finite.std())
    return ReferenceColumn(profile_numbers(numeric, numbers), mean, deviation)


def _value_counts(values: pa.ChunkedArray) -> tuple[list[str], list[int]]:
    found = pc.value_counts(values.drop_null())
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    return found.field("values").to_pylist(), found.field("counts").to_pylist()
