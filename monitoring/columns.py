"""The columns that are watched, and how a stored column becomes numbers or categories."""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from scoring.bundle_schema import manifest_schema
from scoring.inference_log import OUTLIER_COLUMN, LogLayout
from scoring.manifest import Manifest
from scoring.schema import FieldType

Role = Literal["feature", "output", "outlier"]

_CATEGORICAL = ("string", "boolean")


@dataclass(frozen=True, slots=True)
class WatchedColumn:
    """One column that gets verdicts: its name, its name in the log, its type and its role.

    `type` is MLflow's name of it; strings and booleans are categories, all others are numbers.
    """

    name: str
    column: str
    type: str
    role: Role

    @property
    def is_numeric(self) -> bool:
        """Whether values are compared as numbers."""
        return self.type not in _CATEGORICAL


def watched_columns(manifest: Manifest) -> tuple[WatchedColumn, ...]:
    """Features in the model's order, then outputs, then the outlier score if the bundle has one.

    The label of a binary model is not watched: it is its score, cut at the threshold.
    """
    schema = manifest_schema(manifest)
    output = manifest.output
    layout = LogLayout.of(schema, output.columns)
    watched = [
        WatchedColumn(f.name, layout.features[f.name], str(f.type), "feature")
        for f in schema.features
    ]
    watched += [
        WatchedColumn(c.name, layout.outputs[c.name], c.type, "output")
        for c in output.columns
        if output.kind == "columns" or c.type != "string"
    ]
    if manifest.outlier is not None:
        watched.append(WatchedColumn(OUTLIER_COLUMN, OUTLIER_COLUMN, "double", "outlier"))
    return tuple(watched)


def selected(table: pa.Table, columns: tuple[WatchedColumn, ...]) -> tuple[pa.Table, list[str]]:
    """The watched columns of a table in two types only, and the names of those it cannot give.

    Numbers become float64 (timestamps: seconds since 1970), categories strings. A column that is
    absent or of another type comes as nulls.
    """
    arrays: list[pa.ChunkedArray | pa.Array] = []
    unreadable: list[str] = []
    for watched in columns:
        target = pa.float64() if watched.is_numeric else pa.string()
        found = table.schema.get_field_index(watched.column)
        values = None if found < 0 else _converted(table.column(found), watched)
        if values is None:
            unreadable.append(watched.column)
            values = pa.nulls(table.num_rows, target)
        arrays.append(values)
    return pa.table(dict(zip((c.column for c in columns), arrays, strict=True))), unreadable


def _converted(values: pa.ChunkedArray, watched: WatchedColumn) -> pa.ChunkedArray | None:
    kind = values.type
    if pa.types.is_null(kind):
        return values.cast(pa.float64() if watched.is_numeric else pa.string())
    if watched.type == FieldType.BOOLEAN:
        return values.cast(pa.string()) if pa.types.is_boolean(kind) else None
    if watched.type == FieldType.STRING:
        return values.cast(pa.string()) if _is_text(kind) else None
    if pa.types.is_timestamp(kind):
        microseconds = values.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        return pc.divide(microseconds.cast(pa.float64(), safe=False), 1e6)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return values.cast(pa.float64(), safe=False)
    return None


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
