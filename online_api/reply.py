"""What leaves for one request: its status is noted, its id and the wish to close are added."""

from starlette.types import Message, Scope, Send

from online_api.call import WHOLE_KEY, Answer, SendWhole
from online_api.context import Readiness, RequestContext
from online_api.problems import problem_response


class Reply:
    """The sending side of one request."""

    __slots__ = ("_context", "_readiness", "_send", "_whole", "status")

    def __init__(
        self, scope: Scope, send: Send, context: RequestContext, readiness: Readiness
    ) -> None:
        self._send = send
        self._whole: SendWhole | None = scope.get(WHOLE_KEY)
        self._context = context
        self._readiness = readiness
        self.status = 0
        """0 until an answer has begun."""

    async def send(self, message: Message) -> None:
        """ASGI's `send` for whoever makes messages: a framework, a response object."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], *self._tags()]
        await self._send(message)

    async def answer(self, answer: Answer) -> None:
        """Send a whole answer."""
        self.status = answer.status
        if self._whole is not None and not answer.headers:
            head = b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n" % (
                answer.media_type,
                len(answer.body),
                self._context.request_id.encode(),
            )
            if self._whole(answer.status, head, answer.body, self._readiness.draining):
                return
        headers = [
            (b"content-type", answer.media_type),
            (b"content-length", b"%d" % len(answer.body)),
            *answer.headers,
            *self._tags(),
        ]
        await self._send(
            {"type": "http.response.start", "status": answer.status, "headers": headers}
        )
        await self._send({"type": "http.response.body", "body": answer.body})

    async def problem(self, error: Exception) -> None:
        """Answer with a problem document, unless an answer has begun already."""
        if not self.status:
            document = problem_response(error, self._context.request_id, self._context.route)
            head = {"status": document.status_code, "headers": document.raw_headers}
            await self.send({"type": "http.response.start", **head})
            await self.send({"type": "http.response.body", "body": document.body})

    def _tags(self) -> list[tuple[bytes, bytes]]:
        tags = [(b"x-request-id", self._context.request_id.encode())]
        if self._readiness.draining:  # the caller's next request goes elsewhere
            tags.append((b"connection", b"close"))
        return tags
