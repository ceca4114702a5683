"""What a fitted pipeline itself knows of its input: the categories of its columns.

A model that carries one example only would be proved on that one's categories; its encoders name
all the others.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from scoring.records import Column, RecordBatch
from scoring.schema import DTYPES, Feature, Schema

RECORDS: Final = 500
_PER_COLUMN: Final = 200


def with_known_categories(estimator: Any, schema: Schema, batch: RecordBatch) -> RecordBatch:
    """The batch, and 500 of its records with categories that the estimator's encoders know."""
    known = _categories(estimator)
    choices = {f.name: _usable(f, known.get(f.name, ())) for f in schema.features}
    if not len(batch) or not any(choices.values()):
        return batch
    random = np.random.default_rng(1)
    mixed = batch.take(random.integers(len(batch), size=RECORDS))
    columns = [
        _chosen(random, column, choices[feature.name])
        for feature, column in zip(schema.features, mixed.columns, strict=True)
    ]
    ids = tuple(f"known-{i}" for i in range(RECORDS))
    return RecordBatch.concat([batch, RecordBatch(ids, tuple(columns))])


def _chosen(random: np.random.Generator, column: Column, values: Sequence[Any]) -> Column:
    if not values:
        return column
    chosen = column.copy()
    chosen[:] = [values[i] for i in random.integers(len(values), size=len(column))]
    return chosen


def _categories(estimator: Any) -> Mapping[str, Sequence[Any]]:
    """By column name, from the encoders in the estimator's ColumnTransformers."""
    from sklearn.compose import ColumnTransformer

    found: dict[str, Sequence[Any]] = {}
    for step in _steps(estimator):
        if not isinstance(step, ColumnTransformer):
            continue
        for _, part, columns in step.transformers_:
            names = [columns] if isinstance(columns, str) else columns
            for inner in _steps(part):
                categories = getattr(inner, "categories_", ())
                if isinstance(names, list) and len(categories) == len(names):
                    known = zip(names, categories, strict=True)
                    found.update({name: list(values) for name, values in known})
    return found


def _steps(estimator: Any) -> list[Any]:
    from sklearn.pipeline import Pipeline

    if not isinstance(estimator, Pipeline):
        return [estimator]
    return [inner for _, step in estimator.steps for inner in _steps(step)]


def _usable(feature: Feature, values: Sequence[Any]) -> list[Any]:
    """Those of the feature's own type, at most a few hundred."""
    kind = DTYPES[feature.type].type
    allowed = str if kind is np.object_ else type(kind().item())
    plain = [v.item() if isinstance(v, np.generic) else v for v in values[:_PER_COLUMN]]
    return [v for v in plain if isinstance(v, allowed) and v == v]
