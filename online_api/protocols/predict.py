"""`POST /predict` and `/predict/{name}`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from online_api.body import require_json
from online_api.call import Answer, Call
from online_api.context import RequestContext
from online_api.lane import Asked, Read, entry_ids
from online_api.needs import Needs
from online_api.protocols.predict_body import PredictBody
from online_api.reasons import requested_reasons
from online_api.served import ServedModel
from online_api.together import Quick, Together
from scoring.predictions import PredictionRows

_ENCODER: Final = msgspec.json.Encoder()


class _Document(msgspec.Struct, frozen=True):
    request_id: str
    model: msgspec.Raw
    predictions: Sequence[Any]


class PredictRoute:
    """The route, for every model."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs
        self._models = {id(one): _Model.of(one, needs) for one in needs.models}

    async def answer(self, call: Call) -> Answer:
        """1 read, 2 validate, score and log, 3 answer. Raises ProblemError, TransientError."""
        needs, context = self._needs, call.context
        served = needs.models.default
        if call.params:
            served = needs.models.get(call.params["name"])
        require_json(call)
        reasons = requested_reasons(call.scope["query_string"], served.model)
        body = await needs.bodies.read(call)
        base = needs.sources.record_id_base(context)

        def read(other: ServedModel) -> Read:
            return self._models[id(other)].body.read(body, base)

        asked = Asked(body, read, reasons)
        model = self._models[id(served)]
        rows = None if reasons else await self._together(model, context, asked, base)
        if rows is None:
            rows = model.writer.rows(await needs.scoring.answer(served, context, asked))
        return Answer(_ENCODER.encode(_Document(context.request_id, model.version, rows)))

    async def _together(
        self, model: "_Model", context: RequestContext, asked: Asked, base: str
    ) -> Sequence[Any] | None:
        """The predictions of a request that nothing is wrong with; None when it goes alone."""
        together, rows = model.together, model.body.rows
        if together is None or rows is None:
            return None
        self._needs.scoring.require_ready()
        typed = model.body.typed(asked.body)
        ids = None if typed is None else rows.ids(typed.rows, base)
        if typed is None or ids is None:
            return None
        logged = entry_ids(model.served, context, asked.body, len(ids))
        time = typed.event_time or context.received_at
        found = await together.predictions(Quick(context, typed.rows, ids, logged, time))
        if found is not None and model.served is self._needs.models.default:
            self._needs.scoring.answered(context, asked, len(ids))
        return found


@dataclass(frozen=True, slots=True)
class _Model:
    """What the route has for one model; `together` where calls are short."""

    served: ServedModel
    body: PredictBody
    writer: PredictionRows
    version: msgspec.Raw
    together: Together | None

    @classmethod
    def of(cls, served: ServedModel, needs: Needs) -> "_Model":
        body = PredictBody(served.model.schema, needs.limits)
        together = None
        if body.rows is not None and needs.together and served.scorer.is_short:
            together = Together(served, body.rows, needs.sources)
        return cls(served, body, PredictionRows(served.model), _version(served), together)


def _version(served: ServedModel) -> msgspec.Raw:
    version = served.model.version
    return msgspec.Raw(_ENCODER.encode({"name": version.name, "version": version.version}))
