"""Trying a step again."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from adapters.event_hub.ports import Claim, PartitionsMoved
from adapters.event_hub.retries import Retries
from adapters.telemetry import LaneMetrics, Stage
from scoring.errors import TransientError
from stream_worker.in_hand import Dropped, InHand

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trying:
    """Steps for claims, tried until they succeed or nobody wants them any more."""

    retries: Retries
    in_hand: InHand
    metrics: LaneMetrics

    async def until_done(
        self, stage: Stage, claims: Sequence[Claim], step: Callable[[int], Awaitable[None]]
    ) -> None:
        """`step` gets the number of the attempt, from 1.

        Raises Dropped when it failed and the claims end; PartitionsMoved, any other error that is
        not transient, and what it raised last when it was tried for too long.
        """
        began = time.monotonic()
        attempt = 0
        while True:
            attempt += 1
            try:
                await step(attempt)
            except PartitionsMoved:
                raise
            except TransientError as error:
                if all(claim.closing for claim in claims):
                    raise Dropped from error
                if time.monotonic() - began >= self.retries.seconds:
                    raise
                self.metrics.retried(stage)
                logger.warning(
                    "a step failed and is tried again",
                    extra={
                        "event": "retry", "step": stage, "attempt": attempt, "error": str(error)
                    },
                )  # fmt: skip
            else:
                self.metrics.stage(stage, time.monotonic() - began)
                return
            await self.in_hand.closing(claims, self.retries.delay(attempt))
