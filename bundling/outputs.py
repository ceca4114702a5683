"""What a model returns, as the outputs a bundle promises."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from bundling.config import ModelEntry
from scoring.errors import BundleError, ConfigurationError
from scoring.manifest import OutputColumn, OutputSpec
from scoring.records import Column

RESERVED_OUTPUTS: Final = frozenset({"record_id", "outlier", "outlier_score", "reasons"})


_LABELS_ADVICE: Final = (
    "a model logged with plain predict returns labels, not probabilities: log it with "
    'pyfunc_predict_fn="predict_proba", or leave positive_label out'
)


def output_spec(entry: ModelEntry, names: list[str], raw: Mapping[str, Column]) -> OutputSpec:
    """The outputs for raw columns of these names and dtypes.

    Raises ConfigurationError when `positive_label` does not fit them, BundleError for a name that
    is taken.
    """
    if entry.positive_label is not None:
        _check_classes(entry, entry.positive_label, names, raw)
        negative = next(name for name in names if name != entry.positive_label)
        columns = [OutputColumn("score", "double"), OutputColumn("label", "string")]
        return OutputSpec(
            "binary", names, columns, entry.positive_label, negative, entry.decision_threshold
        )
    taken = RESERVED_OUTPUTS.intersection(names)
    if taken:
        raise BundleError(f"the model's output '{min(taken)}' has a reserved name; rename it")
    return OutputSpec("columns", names, [_column(name, raw[name]) for name in names])


def _check_classes(
    entry: ModelEntry, positive: str, names: list[str], raw: Mapping[str, Column]
) -> None:
    place = f"models.json: {entry.name}: positive_label"
    kinds = [_column(name, raw[name]).type for name in names]
    gives = ", ".join(f"{name} ({kind})" for name, kind in zip(names, kinds, strict=True))
    if len(names) == 1:
        raise ConfigurationError(
            f"{place} needs a model that gives a probability for each of two classes, and this "
            f"one gives the single column {gives}; {_LABELS_ADVICE}"
        )
    if positive not in names or len(names) != 2:
        raise ConfigurationError(
            f"{place} is not one of the model's two classes; the model gives the columns {gives}"
        )
    if kinds != ["double", "double"]:
        raise ConfigurationError(
            f"{place}: the model's two columns are no probabilities: {gives}; {_LABELS_ADVICE}"
        )


def _column(name: str, values: Column) -> OutputColumn:
    """The output's type is that of the values seen at packaging; nulls among them do not count."""
    kind = values.dtype.kind
    if kind == "O":
        kind = np.array([v for v in values if v is not None] or [""]).dtype.kind
    if kind == "f":
        return OutputColumn(name, "double")
    if kind in "iu":
        return OutputColumn(name, "long")
    return OutputColumn(name, "boolean" if kind == "b" else "string")
