"""Scores as rows of one type per model: what answers carry, twice as fast to make as dicts."""

from typing import Any

import msgspec

from scoring.model import ModelDescription
from scoring.records import ScoredBatch

RECORD_ID = "record_id"


class PredictionRows:
    """The row type of a model's predictions, and scores as rows of it."""

    def __init__(self, model: ModelDescription) -> None:
        names = [RECORD_ID, *(c.name for c in model.output_columns)]
        if model.manifest.outlier is not None:
            names += ["outlier", "outlier_score"]
        self.names = tuple(names)
        """The members of a prediction, reasons aside, in order."""
        self._plain = _row_type(self.names)
        self._explained = _row_type((*self.names, "reasons"))

    def rows(self, scored: ScoredBatch) -> list[Any]:
        """One row per record; as JSON the same text as `ScoredBatch.predictions` gives."""
        columns: list[Any] = [scored.batch.record_ids]
        columns += [values.tolist() for values in scored.outputs.values()]
        if scored.outlier_scores is not None and scored.outliers is not None:
            columns += [scored.outliers.tolist(), scored.outlier_scores.tolist()]
        if scored.reasons is None:
            return list(map(self._plain, *columns))
        return list(map(self._explained, *columns, scored.reasons.as_lists()))


def _row_type(names: tuple[str, ...]) -> Any:
    fields = [f"c{place}" for place in range(len(names))]
    return msgspec.defstruct(
        "Prediction", fields, rename=dict(zip(fields, names, strict=True)), gc=False
    )
