"""`POST /predict` and `/predict/{name}`."""

from typing import Any, Final

import msgspec

from online_api.body import require_json
from online_api.call import Answer, Call
from online_api.lane import Asked, Read
from online_api.needs import Needs
from online_api.predict_body import PredictBody
from online_api.reasons import requested_reasons
from online_api.served import ServedModel
from scoring.predictions import PredictionRows

_ENCODER: Final = msgspec.json.Encoder()


class _Document(msgspec.Struct, frozen=True):
    request_id: str
    model: msgspec.Raw
    predictions: list[Any]


class PredictRoute:
    """The route, for every model."""

    def __init__(self, needs: Needs) -> None:
        self._models = needs.models
        self._scoring = needs.scoring
        self._bodies = needs.bodies
        self._sources = needs.sources
        self._readers = {
            id(one): PredictBody(one.model.schema, needs.limits) for one in needs.models
        }
        self._writers = {id(one): PredictionRows(one.model) for one in needs.models}
        self._versions = {id(one): _version(one) for one in needs.models}

    async def answer(self, call: Call) -> Answer:
        """1 read, 2 validate, score and log, 3 answer. Raises ProblemError, TransientError."""
        served = self._models.default
        if call.params:
            served = self._models.get(call.params["name"])
        require_json(call)
        reasons = requested_reasons(call.scope["query_string"], served.model)
        body = await self._bodies.read(call)
        base = self._sources.record_id_base(call.context)

        def read(model: ServedModel) -> Read:
            return self._readers[id(model)].read(body, base)

        scored = await self._scoring.answer(served, call.context, Asked(body, read, reasons))
        rows = self._writers[id(served)].rows(scored)
        document = _Document(call.context.request_id, self._versions[id(served)], rows)
        return Answer(_ENCODER.encode(document))


def _version(served: ServedModel) -> msgspec.Raw:
    version = served.model.version
    return msgspec.Raw(_ENCODER.encode({"name": version.name, "version": version.version}))
