"""What the worker says of itself: lag, readiness, liveness."""

import asyncio
import logging
import time
from typing import Final

from adapters.event_hub.ports import EventSource
from adapters.telemetry import LaneMetrics
from scoring.errors import TransientError
from stream_worker.pipeline import Pipeline

INTERVAL_SECONDS: Final = 5.0
_SOON_SECONDS: Final = 0.2

logger = logging.getLogger(__name__)


class Watch:
    """Looks at the lag at an interval; `ready` and `alive` may be called from any thread."""

    def __init__(
        self, pipeline: Pipeline, source: EventSource, metrics: LaneMetrics, stall_seconds: float
    ) -> None:
        """Beyond `stall_seconds` without progress, while events wait, a partition is stalled."""
        self.draining = False
        self._pipeline = pipeline
        self._source = source
        self._metrics = metrics
        self._stall_seconds = stall_seconds
        self._looked = time.monotonic()
        self._said = False

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._looked = time.monotonic()
            known = set(self._pipeline.in_hand.claims)
            await self._look()
            for _ in range(int(INTERVAL_SECONDS / _SOON_SECONDS)):
                await asyncio.sleep(_SOON_SECONDS)
                if not known.issuperset(self._pipeline.in_hand.claims):
                    break

    def ready(self) -> bool:
        """Whether events are being taken."""
        pipeline = self._pipeline
        return pipeline.member and pipeline.failure is None and not self.draining

    def alive(self) -> bool:
        """False when the event loop, or a partition, did not get on for too long."""
        if time.monotonic() - self._looked > self._stall_seconds + INTERVAL_SECONDS:
            return False
        claim = self._pipeline.in_hand.stalled(self._stall_seconds)
        if claim is not None and not self._said:
            self._said = True
            logger.error(
                "a partition does not get on",
                extra={"event": "stalled", "hub": claim.hub, "partition": claim.partition},
            )
        return claim is None

    async def _look(self) -> None:
        try:
            lags = await self._source.lag()
        except TransientError as error:
            logger.warning("the lag is not known", extra={"event": "lag", "error": str(error)})
            return
        for claim, lag in lags.items():
            if not claim.lost:
                self._pipeline.in_hand.lags(claim, lag)
                self._metrics.lag(claim.hub, claim.partition, lag)
