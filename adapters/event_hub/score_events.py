"""Scores as events: what a reader of the scores hub gets, whichever lane scored."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from adapters.event_hub.cloudevents import encode, outgoing
from adapters.event_hub.messages import Outgoing
from scoring.model import ModelDescription
from scoring.predictions import PredictionRows
from scoring.records import ScoredBatch

SCORE_TYPE: Final = "trilane.score.v1"
ADDED: Final = ("model", "causationid", "causationsource", "causationtime")
"""The members of `data` behind those of a prediction."""
RUN_SOURCE: Final = "urn:trilane:batch:"
"""Before the id of a batch run: the source that its rows have as causes."""


class ScoreEvents:
    """Makes the score events of one model for one hub. Thread-safe."""

    def __init__(self, model: ModelDescription, hub: str) -> None:
        version = model.version
        self._hub = hub
        self._named = {"name": version.name, "version": version.version}
        self._source = f"trilane/{version.name}"
        self._rows = PredictionRows(model, ADDED)

    def messages(
        self,
        ids: Sequence[str],
        scored: ScoredBatch,
        scored_at: datetime,
        cause_ids: Sequence[str],
        cause_sources: Sequence[str],
        cause_times: Sequence[datetime],
    ) -> list[Outgoing]:
        """One event per record, in order; each sequence has one item per record.

        `ids` are those of the events. A cause is what the record came with: its name, within its
        source, and when it was true. All times are timezone-aware.
        """
        kind, source, hub = SCORE_TYPE, self._source, self._hub
        models = [self._named] * len(ids)
        rows = self._rows.rows(scored, models, cause_ids, cause_sources, cause_times)
        of_rows = zip(ids, scored.batch.record_ids, rows, strict=True)
        return [
            outgoing(hub, record_id, encode(event_id, source, kind, record_id, scored_at, row))
            for event_id, record_id, row in of_rows
        ]
