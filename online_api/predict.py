"""`POST /predict`. A request is scored as a whole or not at all; either way it is logged."""

import hashlib
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from adapters.telemetry import LaneMetrics
from online_api.body import Records, parse_records, read_body, require_json
from online_api.context import SCOPE_KEY, Limits, Readiness, RequestContext, Sources
from online_api.micro_batch import Scores
from online_api.problems import INVALID_RECORDS, MODEL_ERROR, NOT_READY, ProblemError
from online_api.reasons import requested_reasons
from online_api.scorer import Scorer
from scoring.errors import ModelError
from scoring.identifiers import derived_id
from scoring.inference_log import InferenceLog, LogBatch
from scoring.model import ModelBundle
from scoring.records import Rejection, RejectionCode, ScoredBatch, Validated, Violation
from scoring.score import score
from scoring.validation import validate_rows

RECORD_ID: Final = "record_id"

_REFUSED: Final = (
    Violation(None, RejectionCode.REQUEST_REJECTED, "another record of the request was rejected"),
)
_MODEL_FAILED: Final = (
    Violation(None, RejectionCode.MODEL_ERROR, "the model failed on this request"),
)
_ENCODER: Final = msgspec.json.Encoder()

logger = logging.getLogger(__name__)


class PredictRoute:
    """The route, with what it needs."""

    def __init__(
        self,
        model: ModelBundle,
        scorer: Scorer,
        log: InferenceLog,
        metrics: LaneMetrics,
        readiness: Readiness,
        limits: Limits,
        sources: Sources,
    ) -> None:
        self._model = model
        self._scorer = scorer
        self._log = log
        self._metrics = metrics
        self._readiness = readiness
        self._limits = limits
        self._sources = sources
        self._takes_record_id = RECORD_ID not in model.schema.names
        self._answer_model = {"name": model.version.name, "version": model.version.version}

    async def answer(self, request: Request) -> Response:
        """1 read, 2 validate, 3 score, 4 log, 5 answer. Raises ProblemError, TransientError."""
        if not self._readiness.accepting:
            raise ProblemError(NOT_READY, "the server is starting or stopping")
        received_at = self._sources.now()
        require_json(request)
        reasons = requested_reasons(request, self._model)
        body = await read_body(request, self._limits)
        records = parse_records(body, self._limits)

        started = self._sources.timer()
        valid = self._validated(records)
        scored, rejections = await self._scored(valid, reasons)

        context: RequestContext = request.scope[SCOPE_KEY]
        rejected = _refused(valid, rejections) if rejections else ()
        context.records, context.rejected = len(records.rows), len(rejected)
        self._metrics.scored(len(scored), len(rejected), self._sources.timer() - started)
        event_time = records.event_time or received_at
        # Before the answer leaves, the entries are safe.
        self._log.append(self._entries(context.request_id, body, event_time, scored, rejected))

        if rejections:
            raise _problem(valid, rejections)
        return self._response(context.request_id, scored)

    def _validated(self, records: Records) -> Validated:
        ids = [self._record_id(row) for row in records.rows]
        return validate_rows(self._model.schema, records.rows, ids)

    def _record_id(self, row: Any) -> Any:
        """The caller's id, which is taken out of the record, or a new one."""
        if self._takes_record_id and isinstance(row, dict) and RECORD_ID in row:
            return row.pop(RECORD_ID)
        return self._sources.new_id()

    async def _scored(self, valid: Validated, reasons: int) -> Scores:
        """The scores, or no scores and why. Raises ProblemError when the model is overloaded."""
        if not valid.rejections:
            try:
                scored, rejections = await self._scorer.score(valid, reasons)
            except ProblemError:
                raise
            except Exception as error:  # a model may raise anything; its words may quote a record
                level = logging.WARNING if isinstance(error, ModelError) else logging.ERROR
                logger.log(level, "the model failed: %s", type(error).__name__)
                rejections = _model_failed(valid)
            if not rejections:
                return scored, ()
        else:
            rejections = valid.rejections
        return score(self._model, valid.batch.slice(0, 0)), rejections

    def _entries(
        self,
        request_id: str,
        body: bytes,
        event_time: datetime,
        scored: ScoredBatch,
        rejected: Sequence[Rejection],
    ) -> LogBatch:
        """The log's entries. Callers reuse a request id within one trace, so the entry ids depend
        on the body as well: only the same request sent again has the same ones.
        """
        digest = hashlib.sha256(body).hexdigest()
        base = derived_id("online", self._model.version.digest, request_id, digest)
        count = len(scored) + len(rejected)
        return LogBatch(
            lane="online",
            request_id=request_id,
            scored_at=self._sources.now(),
            scored=scored,
            rejected=tuple(rejected),
            entry_ids=[f"{base}-{position}" for position in range(count)],
            event_times=[event_time] * count,
        )

    def _response(self, request_id: str, scored: ScoredBatch) -> Response:
        document = {
            "request_id": request_id,
            "model": self._answer_model,
            "predictions": scored.predictions(),
        }
        return Response(_ENCODER.encode(document), media_type="application/json")


def _refused(valid: Validated, rejections: Sequence[Rejection]) -> tuple[Rejection, ...]:
    """Every record of a request that is not answered: the others are rejected with the bad ones."""
    named = {r.position for r in rejections}
    others = [
        Rejection(int(position), record_id, _REFUSED)
        for position, record_id in zip(valid.positions, valid.batch.record_ids, strict=True)
        if int(position) not in named
    ]
    return tuple(sorted([*rejections, *others], key=lambda r: r.position))


def _model_failed(valid: Validated) -> tuple[Rejection, ...]:
    positions = np.asarray(valid.positions).tolist()
    return tuple(
        Rejection(position, record_id, _MODEL_FAILED)
        for position, record_id in zip(positions, valid.batch.record_ids, strict=True)
    )


def _problem(valid: Validated, rejections: Sequence[Rejection]) -> ProblemError:
    received = len(valid.batch) + len(valid.rejections)
    detail = f"{len(rejections)} of {received} records were rejected"
    return ProblemError(INVALID_RECORDS if valid.rejections else MODEL_ERROR, detail, rejections)
