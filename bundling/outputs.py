"""What a model returns, as the outputs a bundle promises."""

from collections.abc import Mapping
from typing import Final

from bundling.config import ModelEntry
from scoring.errors import BundleError, ConfigurationError
from scoring.manifest import OutputColumn, OutputSpec
from scoring.records import Column

RESERVED_OUTPUTS: Final = frozenset({"record_id", "outlier", "outlier_score", "reasons"})


def output_spec(entry: ModelEntry, names: list[str], raw: Mapping[str, Column]) -> OutputSpec:
    """The outputs for raw columns of these names and dtypes.

    Raises ConfigurationError when `positive_label` does not fit them, BundleError for a name that
    is taken.
    """
    if entry.positive_label is not None:
        if entry.positive_label not in names or len(names) != 2:
            raise ConfigurationError(
                f"models.json: {entry.name}: positive_label is not one of the model's two classes; "
                f"the model gives the columns {', '.join(names)}"
            )
        negative = next(name for name in names if name != entry.positive_label)
        columns = [OutputColumn("score", "double"), OutputColumn("label", "string")]
        return OutputSpec("binary", names, columns, entry.positive_label, negative, entry.threshold)
    taken = RESERVED_OUTPUTS.intersection(names)
    if taken:
        raise BundleError(f"the model's output '{min(taken)}' has a reserved name; rename it")
    return OutputSpec("columns", names, [_column(name, raw[name]) for name in names])


def _column(name: str, values: Column) -> OutputColumn:
    kind = values.dtype.kind
    if kind == "f":
        return OutputColumn(name, "double")
    if kind in "iu":
        return OutputColumn(name, "long")
    return OutputColumn(name, "boolean" if kind == "b" else "string")
