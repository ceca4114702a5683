"""Scoring in shadow: what a challenger says of the champion's records is logged, never answered."""

import logging

from online_api.context import RequestContext
from online_api.lane import Asked, Lane
from online_api.served import Models, ServedModel
from scoring.records import ScoredBatch

logger = logging.getLogger(__name__)


class Shadow:
    """A `Scoring` that has the challengers see every request that the champion answered.

    They score it after its answer has left, from the body, each as its own schema says.
    """

    def __init__(self, lane: Lane, models: Models, max_waiting: int) -> None:
        """Beyond `max_waiting` requests in line the challengers do not see the next one."""
        self._lane = lane
        self._models = models
        self._max_waiting = max_waiting
        self._waiting = 0

    async def answer(
        self, served: ServedModel, context: RequestContext, asked: Asked
    ) -> ScoredBatch:
        """See `Scoring`."""
        scored = await self._lane.answer(served, context, asked)
        if served is self._models.default:
            self.answered(context, asked, len(scored))
        return scored

    def require_ready(self) -> None:
        """See `Scoring`."""
        self._lane.require_ready()

    def answered(self, context: RequestContext, asked: Asked, records: int) -> None:
        """See `Scoring`."""
        context.after.append(lambda: self._follow(context, asked, records))

    async def _follow(self, context: RequestContext, asked: Asked, records: int) -> None:
        if self._waiting >= self._max_waiting:
            for served in self._models.challengers:
                served.metrics.shadow("dropped", records)
            return
        self._waiting += 1
        try:
            for served in self._models.challengers:
                await self._score(served, context, asked, records)
        finally:
            self._waiting -= 1

    async def _score(
        self, served: ServedModel, context: RequestContext, asked: Asked, records: int
    ) -> None:
        """Raises nothing: whatever a challenger does, the request was answered."""
        try:
            outcome = await self._lane.logged(served, context, asked)
        except Exception as error:  # of a model anything may come
            served.metrics.shadow("dropped", records)
            logger.warning("a challenger could not score: %s", type(error).__name__)
        else:
            served.metrics.shadow("scored", len(outcome.scored))
            served.metrics.shadow("rejected", len(outcome.rejected))
