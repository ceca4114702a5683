"""Around every request: its id, its one log line, and an answer whatever happens inside."""

import logging
import re
import traceback
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from online_api.context import SCOPE_KEY, RequestContext, Sources
from online_api.problems import problem_response

QUIET: Final = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked every few seconds by machines; logged at DEBUG."""

_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")

logger = logging.getLogger(__name__)


class RequestLog:
    """ASGI middleware; the line holds no header, no query and no value of a record."""

    def __init__(self, app: ASGIApp, sources: Sources) -> None:
        self._app = app
        self._sources = sources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises nothing for HTTP requests."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = RequestContext(_request_id(scope) or self._sources.new_id())
        scope[SCOPE_KEY] = context
        started = self._sources.timer()
        status = 0

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                tag = (b"x-request-id", context.request_id.encode())
                message["headers"] = [*message["headers"], tag]
            await send(message)

        try:
            await self._app(scope, receive, tagged)
        except Exception as error:  # the last one who can answer
            _log_unexpected(context, error)
            if not status:
                await problem_response(error, context.request_id)(scope, receive, tagged)
        _log_line(scope, context, status, self._sources.timer() - started)


def _request_id(scope: Scope) -> str | None:
    """The caller's X-Request-ID, when it is short and plain."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return str(value, "ascii")
    return None


def _log_line(scope: Scope, context: RequestContext, status: int, seconds: float) -> None:
    # A path that matched no route is the caller's own text.
    route = scope["path"] if "endpoint" in scope else "unmatched"
    level = logging.DEBUG if route in QUIET else logging.INFO
    if logger.isEnabledFor(level):
        logger.log(
            level,
            "%s %s %d",
            scope["method"],
            route,
            status,
            extra={
                "event": "request",
                "request_id": context.request_id,
                "route": route,
                "status": status,
                "records": context.records,
                "rejected": context.rejected,
                "duration_ms": round(seconds * 1000, 3),
            },
        )


def _log_unexpected(context: RequestContext, error: Exception) -> None:
    """Where it happened, without the error's own words, which may quote a record."""
    if isinstance(error, ClientDisconnect):
        return
    logger.error(
        "unexpected %s",
        type(error).__name__,
        extra={
            "event": "unexpected_error",
            "request_id": context.request_id,
            "at": traceback.format_tb(error.__traceback__)[-5:],
        },
    )
