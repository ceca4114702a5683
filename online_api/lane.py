"""One request's way through the lane, whatever protocol brought it: validate, score, log.

A request is scored as a whole or not at all; either way every record of it is logged.
"""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Protocol

import numpy as np

from adapters.tracing import Tracing
from online_api.context import Exchange, Readiness, RequestContext, Sources
from online_api.micro_batch import Scores
from online_api.problems import INVALID_RECORDS, MODEL_ERROR, NOT_READY, ProblemError
from online_api.served import ServedModel
from scoring.errors import ModelError
from scoring.identifiers import derived_id
from scoring.inference_log import LogBatch
from scoring.records import Rejection, RejectionCode, ScoredBatch, Validated, Violation
from scoring.score import score

_REFUSED: Final = (
    Violation(None, RejectionCode.REQUEST_REJECTED, "another record of the request was rejected"),
)
_MODEL_FAILED: Final = (
    Violation(None, RejectionCode.MODEL_ERROR, "the model failed on this request"),
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a protocol asks of the lane.

    `read` decodes and validates the body for a model: the one that answers, and each that scores
    it in shadow. It raises ProblemError, and gives the same record ids every time.
    """

    body: bytes
    read: Callable[[ServedModel], "Read"]
    reasons: int = 0


class Read(NamedTuple):
    """A body as records; `event_time` is None when the body does not say it."""

    valid: Validated
    event_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request's records: scored plus rejected is what was received.

    `causes` are the rejections for which the others were rejected too; `invalid` when validation
    made them, and not the model.
    """

    scored: ScoredBatch
    rejected: tuple[Rejection, ...]
    causes: tuple[Rejection, ...]
    invalid: bool


class Scoring(Protocol):
    """What a route asks for scores."""

    def require_ready(self) -> None:
        """Raises ProblemError when nothing is answered yet, or any more."""
        ...

    def answered(self, context: RequestContext, asked: Asked, records: int) -> None:
        """Be told that the default model gave the scores of a request, by whatever way."""
        ...

    async def answer(
        self, served: ServedModel, context: RequestContext, asked: Asked
    ) -> ScoredBatch:
        """The scores of every record. When this returns the entries are safe: the answer may leave.

        Raises ProblemError when a record is rejected, which rejects all; TransientError.
        """
        ...


class Lane:
    """The path behind every protocol."""

    def __init__(self, readiness: Readiness, sources: Sources, tracing: Tracing) -> None:
        self._readiness = readiness
        self._sources = sources
        self._tracing = tracing

    async def answer(
        self, served: ServedModel, context: RequestContext, asked: Asked
    ) -> ScoredBatch:
        """See `Scoring`."""
        self.require_ready()
        started = self._sources.timer()
        outcome = await self.logged(served, context, asked)
        scored, rejected = outcome.scored, len(outcome.rejected)
        received = len(scored) + rejected
        context.exchange = Exchange(received, rejected, scored, served.model.version)
        served.metrics.scored(len(scored), rejected, self._sources.timer() - started)
        if rejected:
            raise _problem(outcome, received)
        return scored

    def require_ready(self) -> None:
        """See `Scoring`."""
        if not self._readiness.accepting:
            raise ProblemError(NOT_READY, "the server is starting or stopping")

    def answered(self, context: RequestContext, asked: Asked, records: int) -> None:
        """See `Scoring`: nobody else wants to know."""

    async def logged(self, served: ServedModel, context: RequestContext, asked: Asked) -> Outcome:
        """1 validate, 2 score, 3 log. Raises ProblemError, TransientError."""
        with self._tracing.span("validate"):
            valid, event_time = asked.read(served)
        with self._tracing.span("score"):
            scored, causes = await _scored(served, valid, asked.reasons)
        rejected = refused(valid, causes) if causes else ()
        times = [event_time or context.received_at] * (len(scored) + len(rejected))
        with self._tracing.span("log"):
            served.log.append(self._entries(served, context, asked.body, times, scored, rejected))
        return Outcome(scored, rejected, causes, bool(valid.rejections))

    def _entries(
        self,
        served: ServedModel,
        context: RequestContext,
        body: bytes,
        event_times: Sequence[datetime],
        scored: ScoredBatch,
        rejected: Sequence[Rejection],
    ) -> LogBatch:
        return LogBatch(
            lane="online",
            request_id=context.request_id,
            scored_at=self._sources.now(),
            scored=scored,
            rejected=tuple(rejected),
            entry_ids=entry_ids(served, context, body, len(event_times)),
            event_times=event_times,
        )


def entry_ids(served: ServedModel, context: RequestContext, body: bytes, count: int) -> list[str]:
    """The ids of a request's entries in the log. Callers reuse a request id within one trace, so
    they depend on the body as well: only the same request sent again has the same ones. An id that
    was made up here comes once.
    """
    digest = hashlib.sha256(body).hexdigest() if context.named_by_caller else ""
    base = derived_id("online", served.model.version.digest, context.request_id, digest)
    return [f"{base}-{position}" for position in range(count)]


async def _scored(served: ServedModel, valid: Validated, reasons: int) -> Scores:
    """The scores, or no scores and why. Raises ProblemError when the model is overloaded."""
    if valid.rejections:
        return nothing(served, valid), valid.rejections
    try:
        scored, rejections = await served.scorer.score(valid, reasons)
    except ProblemError:
        raise
    except Exception as error:  # a model may raise anything; its words may quote a record
        level = logging.WARNING if isinstance(error, ModelError) else logging.ERROR
        logger.log(level, "the model failed: %s", type(error).__name__)
        return nothing(served, valid), model_failed(valid)
    return (nothing(served, valid), rejections) if rejections else (scored, ())


def nothing(served: ServedModel, valid: Validated) -> ScoredBatch:
    """The scores of no record."""
    return score(served.model, valid.batch.slice(0, 0))


def refused(valid: Validated, rejections: Sequence[Rejection]) -> tuple[Rejection, ...]:
    """Every record of a request that is not answered: the others are rejected with the bad ones."""
    named = {r.position for r in rejections}
    others = [
        Rejection(int(position), record_id, _REFUSED)
        for position, record_id in zip(valid.positions, valid.batch.record_ids, strict=True)
        if int(position) not in named
    ]
    return tuple(sorted([*rejections, *others], key=lambda r: r.position))


def model_failed(valid: Validated) -> tuple[Rejection, ...]:
    """A rejection of every valid record."""
    positions = np.asarray(valid.positions).tolist()
    return tuple(
        Rejection(position, record_id, _MODEL_FAILED)
        for position, record_id in zip(positions, valid.batch.record_ids, strict=True)
    )


def _problem(outcome: Outcome, received: int) -> ProblemError:
    detail = f"{len(outcome.causes)} of {received} records were rejected"
    return ProblemError(INVALID_RECORDS if outcome.invalid else MODEL_ERROR, detail, outcome.causes)
