"""Scores as rows of one type per model: what answers and events carry."""

from collections.abc import Sequence
from typing import Any

import msgspec

from scoring.model import ModelDescription
from scoring.records import ScoredBatch

RECORD_ID = "record_id"


class PredictionRows:
    """The row type of a model's predictions, and scores as rows of it."""

    def __init__(self, model: ModelDescription, added: Sequence[str] = ()) -> None:
        """`added` are members behind those of a prediction; an output with the name of one of them
        gets the prefix `output.`.
        """
        names = [f"output.{c.name}" if c.name in added else c.name for c in model.output_columns]
        names = [RECORD_ID, *names]
        if model.manifest.outlier is not None:
            names += ["outlier", "outlier_score"]
        self.names = tuple(names)
        """The members of a prediction, reasons and what is added aside, in order."""
        self._plain = _row_type((*self.names, *added))
        self._explained = _row_type((*self.names, "reasons", *added))

    def rows(self, scored: ScoredBatch, *added: Sequence[Any]) -> list[Any]:
        """One row per record; each of `added` has one item per record."""
        columns: list[Any] = [scored.batch.record_ids]
        columns += [values.tolist() for values in scored.outputs.values()]
        if scored.outlier_scores is not None and scored.outliers is not None:
            columns += [scored.outliers.tolist(), scored.outlier_scores.tolist()]
        if scored.reasons is None:
            return list(map(self._plain, *columns, *added))
        return list(map(self._explained, *columns, scored.reasons.as_lists(), *added))


def _row_type(names: tuple[str, ...]) -> Any:
    fields = [f"c{place}" for place in range(len(names))]
    return msgspec.defstruct(
        "Prediction", fields, rename=dict(zip(fields, names, strict=True)), gc=False
    )
