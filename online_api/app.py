"""The app: the routes around the served models, behind the front door."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from adapters.tracing import NO_TRACING
from online_api.access.caller import Role
from online_api.access.gate import Access
from online_api.body import BodyReader
from online_api.call import Answer, Call, Handler
from online_api.context import SCOPE_KEY, Limits, Load, Readiness, RequestContext, Sources
from online_api.front_door import CALL_KEY, FrontDoor, Watch
from online_api.lane import Lane
from online_api.needs import Needs
from online_api.openapi import Guards, build_openapi
from online_api.openapi.docs_page import DocsPage
from online_api.problems import ProblemError, problem_response
from online_api.protocols.mlflow_protocol import MlflowRoutes
from online_api.protocols.open_inference import OpenInferenceRoutes
from online_api.protocols.predict import PredictRoute
from online_api.served import Models
from online_api.shadow import Shadow
from online_api.status import StatusRoutes

Endpoint = Callable[[Request], Awaitable[Response]]

OPEN: Final = None
"""Instead of a role: whoever reaches the port."""


@dataclass(frozen=True)
class Policy:
    """Who may ask what."""

    access: Access
    metrics: Role | None
    model: Role | None
    shadow: bool = False


class _Table:
    """Routes as they are added: to the framework, and those without parameters for the door."""

    def __init__(self, app: FastAPI, access: Access) -> None:
        self._app = app
        self._access = access
        self.direct: dict[str, Handler] = {}

    def scores(self, path: str, handler: Handler) -> None:
        """`POST` of records."""

        async def guarded(call: Call) -> Answer:
            call.context.route = path
            call.context.caller = await self._caller(call.scope["headers"], "score")
            return await handler(call)

        async def endpoint(request: Request) -> Response:
            call: Call = request.scope[CALL_KEY]
            call.params = request.path_params
            answer = await guarded(call)
            headers = {str(k, "latin-1"): str(v, "latin-1") for k, v in answer.headers}
            kind = str(answer.media_type, "latin-1")
            return Response(answer.body, answer.status, headers, kind)

        if "{" not in path:
            self.direct[path] = guarded
        self._app.add_route(path, endpoint, ["POST"], include_in_schema=False)

    def shows(self, path: str, show: Endpoint, role: Role | None = OPEN) -> None:
        """`GET`."""

        async def endpoint(request: Request) -> Response:
            context: RequestContext = request.scope[SCOPE_KEY]
            context.route = path
            if role is not OPEN:
                context.caller = await self._caller(request.scope["headers"], role)
            return await show(request)

        self._app.add_route(path, endpoint, ["GET"], include_in_schema=False)

    async def _caller(self, headers: Iterable[tuple[bytes, bytes]], role: Role) -> str:
        return (await self._access.require(tuple(headers), role)).name


def create_app(
    models: Models,
    policy: Policy,
    watch: Watch,
    limits: Limits,
    load: Load,
    readiness: Readiness,
    sources: Sources | None = None,
) -> ASGIApp:
    """An app that scores with `models`. Its lifespan starts and stops `readiness`; the caller opens
    and closes what `models` hold.
    """
    sources = sources or Sources()
    lane = Lane(readiness, sources, watch.tracing)
    scoring = Shadow(lane, models, limits.max_waiting) if policy.shadow else lane
    app = FastAPI(
        openapi_url=None,  # the models have the types, so the document is built from them
        redirect_slashes=False,
        lifespan=lambda _: _lifespan(readiness, models),
    )
    table = _Table(app, policy.access)
    needs = Needs(
        models,
        scoring,
        BodyReader(limits, load),
        limits,
        readiness,
        sources,
        watch.tracing is NO_TRACING,
    )
    _add_scoring(table, needs, policy)
    _add_status(table, models, watch, readiness, policy)
    _add_docs(table, DocsPage(build_openapi(models, limits, _guards(policy))))
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(HTTPException, _problem)
    app.add_exception_handler(Exception, _problem)  # and goes on to the front door, which logs it
    return FrontDoor(app, table.direct, watch, limits, readiness, sources)


def _add_scoring(table: _Table, needs: Needs, policy: Policy) -> None:
    predict = PredictRoute(needs)
    table.scores("/predict", predict.answer)
    table.scores("/predict/{name}", predict.answer)
    mlflow = MlflowRoutes(needs)
    table.scores("/invocations", mlflow.invocations)
    table.shows("/ping", mlflow.ping)
    table.shows("/health", mlflow.ping)
    table.shows("/version", mlflow.version)
    oip = OpenInferenceRoutes(needs)
    for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        table.scores(f"{model}/infer", oip.infer)
        table.shows(f"{model}/ready", oip.model_ready)
        table.shows(model, oip.model_metadata, policy.model)
    table.shows("/v2", oip.server_metadata)
    table.shows("/v2/health/live", oip.live)
    table.shows("/v2/health/ready", oip.ready)


def _add_status(
    table: _Table, models: Models, watch: Watch, readiness: Readiness, policy: Policy
) -> None:
    status = StatusRoutes(models, watch.metrics, readiness)
    table.shows("/livez", status.livez)
    table.shows("/readyz", status.readyz)
    table.shows("/metrics", status.metrics, policy.metrics)
    table.shows("/model", status.model, policy.model)
    table.shows("/models", status.models, policy.model)
    table.shows("/models/{name}", status.named_model, policy.model)


def _guards(policy: Policy) -> Guards | None:
    return Guards(policy.metrics, policy.model) if policy.access.configured else None


def _add_docs(table: _Table, docs: DocsPage) -> None:
    for path, endpoint in docs.routes().items():
        table.shows(path, endpoint)


@asynccontextmanager
async def _lifespan(readiness: Readiness, models: Models) -> AsyncIterator[None]:
    readiness.start()
    try:
        yield
    finally:
        readiness.stop()
        for served in models:
            served.scorer.close()


async def _problem(request: Request, error: Exception) -> Response:
    context: RequestContext = request.scope[SCOPE_KEY]
    return problem_response(error, context.request_id, context.route)
