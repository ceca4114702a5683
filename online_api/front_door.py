"""Around every request: its id, its time, its log line, and an answer whatever happens inside.

Routes that score and have no parameters in their path are called from here; everything else goes
through the framework, whose own layers cost about as much as scoring a record.
"""

import asyncio
import logging
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.telemetry import ServerMetrics
from adapters.tracing import Tracing
from online_api.call import Call, Handler
from online_api.context import (
    LATE_ANSWER,
    LATE_BODY,
    SCOPE_KEY,
    Limits,
    Readiness,
    RequestContext,
    Sources,
)
from online_api.problems import (
    DEADLINE,
    NOT_READY,
    REQUEST_TIMEOUT,
    ProblemError,
)
from online_api.reply import Reply
from online_api.request_lines import RequestLines
from scoring.errors import TransientError

CALL_KEY: Final = "trilane.call"
"""Where the ASGI scope holds the `Call`."""

_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Watch:
    """Where the front door tells of what it saw."""

    lines: RequestLines
    metrics: ServerMetrics
    tracing: Tracing


class FrontDoor:
    """An ASGI app around the framework's."""

    def __init__(
        self,
        app: ASGIApp,
        direct: Mapping[str, Handler],
        watch: Watch,
        limits: Limits,
        readiness: Readiness,
        sources: Sources,
    ) -> None:
        """`direct` has the handlers of `POST` by path."""
        self._app = app
        self._direct = direct
        self._watch = watch
        self._limits = limits
        self._readiness = readiness
        self._sources = sources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises nothing for HTTP requests."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = self._sources.timer()
        headers = dict(scope["headers"])
        context = self._context(headers.get(b"x-request-id"))
        scope[SCOPE_KEY] = context
        reply = Reply(scope, send, context, self._readiness)
        with self._watch.tracing.server_span(scope["method"], headers) as span:
            await self._answer(scope, receive, headers, context, reply)
            span.answered(context.route, reply.status, context.exchange, context.request_id)
        seconds = self._sources.timer() - started
        self._watch.metrics.answered(context.route, reply.status, seconds)
        self._watch.lines.request(context, scope["method"], reply.status, seconds, span.trace_id)
        for task in context.after:
            await task()

    async def _answer(
        self,
        scope: Scope,
        receive: Receive,
        headers: Mapping[bytes, bytes],
        context: RequestContext,
        reply: Reply,
    ) -> None:
        scope[CALL_KEY] = call = Call(scope, receive, context, headers)
        try:
            handler = self._direct.get(scope["path"]) if scope["method"] == "POST" else None
            if handler is None:
                await self._app(scope, receive, reply.send)
            else:
                await reply.answer(await handler(call))
        except asyncio.CancelledError as error:  # whoever serves waits no longer, and says why
            await reply.problem(self._overdue(error))
        except Exception as error:
            if not isinstance(error, ProblemError | TransientError):
                _log_unexpected(context, error)
            await reply.problem(error)

    def _context(self, given: bytes | None) -> RequestContext:
        """With the caller's X-Request-ID, when it is short and plain."""
        now = self._sources.now()
        if given is not None and _SANE_ID.fullmatch(given):
            return RequestContext(str(given, "ascii"), now, named_by_caller=True)
        return RequestContext(self._sources.new_id(), now)

    def _overdue(self, error: asyncio.CancelledError) -> ProblemError:
        if error.args == (LATE_BODY,):
            seconds = self._limits.body_seconds
            return ProblemError(
                REQUEST_TIMEOUT,
                f"the body was not there within {seconds:g} seconds",
                headers={"connection": "close"},  # the rest of it may still come
            )
        if error.args == (LATE_ANSWER,):
            seconds = self._limits.deadline_seconds
            return ProblemError(DEADLINE, f"there was no answer within {seconds:g} seconds")
        return ProblemError(NOT_READY, "the server is stopping")


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
