"""What machines ask: probes, metrics, and which model this is."""

from starlette.requests import Request
from starlette.responses import Response

from adapters.telemetry import CONTENT_TYPE, LaneMetrics
from online_api.context import Readiness
from online_api.problems import NOT_READY, ProblemError
from scoring.model import ModelBundle
from scoring.model_document import model_document

_JSON = "application/json"


class StatusRoutes:
    """`GET /livez`, `/readyz`, `/metrics`, `/model`."""

    def __init__(self, model: ModelBundle, metrics: LaneMetrics, readiness: Readiness) -> None:
        self._model = model_document(model, threads=1)
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
        """The model that answers."""
        return Response(self._model, media_type=_JSON)
