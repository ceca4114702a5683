"""The app: routes around one loaded model."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from adapters.telemetry import LaneMetrics
from online_api.context import SCOPE_KEY, Limits, Readiness, RequestContext, Sources
from online_api.docs_page import BUNDLE, START, STYLE, DocsPage
from online_api.openapi import build_openapi
from online_api.predict import PredictRoute
from online_api.problems import ProblemError, problem_response
from online_api.request_log import RequestLog
from online_api.scorer import Scorer, open_scorer
from online_api.status import StatusRoutes
from scoring.inference_log import InferenceLog
from scoring.model import ModelBundle


def create_app(
    model: ModelBundle,
    log: InferenceLog,
    metrics: LaneMetrics,
    limits: Limits,
    readiness: Readiness,
    sources: Sources | None = None,
) -> FastAPI:
    """An app that scores with `model`. Its lifespan starts and stops `readiness`; the caller opens
    and closes `log`.
    """
    sources = sources or Sources()
    scorer = open_scorer(model, limits, metrics)
    app = FastAPI(
        openapi_url=None,  # the model has the types, so the document is built from it
        redirect_slashes=False,
        lifespan=lambda _: _lifespan(readiness, scorer),
    )
    predict = PredictRoute(model, scorer, log, metrics, readiness, limits, sources)
    status = StatusRoutes(model, metrics, readiness)
    docs = DocsPage(build_openapi(model, limits))
    # Plain routes: bodies are decoded and validated by scoring's own rules, not by the framework.
    app.add_route("/predict", predict.answer, ["POST"])
    app.add_route("/livez", status.livez, ["GET"])
    app.add_route("/readyz", status.readyz, ["GET"])
    app.add_route("/metrics", status.metrics, ["GET"])
    app.add_route("/model", status.model, ["GET"])
    app.add_route("/", docs.page, ["GET"])
    app.add_route("/openapi.json", docs.openapi, ["GET"])
    app.add_route(STYLE, docs.style, ["GET"])
    app.add_route(BUNDLE, docs.bundle, ["GET"])
    app.add_route(START, docs.start, ["GET"])
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(HTTPException, _problem)
    app.add_middleware(RequestLog, sources)
    return app


@asynccontextmanager
async def _lifespan(readiness: Readiness, scorer: Scorer) -> AsyncIterator[None]:
    readiness.start()
    try:
        yield
    finally:
        readiness.stop()
        scorer.close()


async def _problem(request: Request, error: Exception) -> Response:
    context: RequestContext = request.scope[SCOPE_KEY]
    return problem_response(error, context.request_id)
