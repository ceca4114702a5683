"""What machines ask: probes, metrics, and which models these are."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from adapters.telemetry import CONTENT_TYPE, ServerMetrics
from online_api.context import Readiness
from online_api.problems import NOT_READY, ProblemError
from online_api.served import Models
from scoring.model_document import model_document

_JSON = "application/json"


class StatusRoutes:
    """`GET /livez`, `/readyz`, `/metrics`, `/model`, `/models`, `/models/{name}`."""

    def __init__(self, models: Models, metrics: ServerMetrics, readiness: Readiness) -> None:
        self._models = models
        self._documents = {id(one): model_document(one.model, threads=1) for one in models}
        self._list = msgspec.json.encode(_listed(models))
        self._metrics = metrics
        self._readiness = readiness

    async def livez(self, _: Request) -> Response:
        """200 as long as the event loop turns."""
        return Response(b'{"status":"alive"}', media_type=_JSON)

    async def readyz(self, _: Request) -> Response:
        """200 when requests may be sent here, else the problem `not-ready`."""
        if not self._readiness.ready:
            raise ProblemError(NOT_READY, "the server is starting or stopping")
        return Response(b'{"status":"ready"}', media_type=_JSON)

    async def metrics(self, _: Request) -> Response:
        """Prometheus text format."""
        return Response(self._metrics.render(), headers={"content-type": CONTENT_TYPE})

    async def model(self, _: Request) -> Response:
        """The model that answers when none is named."""
        return Response(self._documents[id(self._models.default)], media_type=_JSON)

    async def models(self, _: Request) -> Response:
        """Every served model in short."""
        return Response(self._list, media_type=_JSON)

    async def named_model(self, request: Request) -> Response:
        """One model."""
        served = self._models.get(request.path_params["name"])
        return Response(self._documents[id(served)], media_type=_JSON)


def _listed(models: Models) -> dict[str, object]:
    return {
        "models": [
            {
                "name": one.model.version.name,
                "version": one.model.version.version,
                "digest": one.model.version.digest,
                "default": one is models.default,
            }
            for one in models
        ]
    }
