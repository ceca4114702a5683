"""Errors as RFC 9457 problem documents: the one table from error to status.

A document names fields, rules and limits. It never repeats a value, and of a name that the caller
made up no more than its first 64 characters.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from scoring.errors import TransientError
from scoring.records import Rejection, RejectionCode, Violation

MEDIA_TYPE: Final = "application/problem+json"
MAX_ERRORS: Final = 1000
MAX_NAME_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table; `code` is the last part of the document's `type`."""

    code: str
    status: int
    title: str
    retry_after_seconds: int | None = None

    @property
    def type(self) -> str:
        """A URN: it identifies the kind of problem and is not meant to be opened."""
        return f"urn:trilane:problem:{self.code}"


MALFORMED = Kind("malformed-request", 400, "The request cannot be read")
INVALID_PARAMETER = Kind("invalid-parameter", 400, "A parameter is invalid")
UNAUTHORIZED = Kind("unauthorized", 401, "The request carries no valid credentials")
FORBIDDEN = Kind("forbidden", 403, "The caller has not the role that the route asks for")
NOT_FOUND = Kind("not-found", 404, "There is no such route")
UNKNOWN_MODEL = Kind("unknown-model", 404, "No such model, or not in that version, is served")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "The route does not take this method")
REQUEST_TIMEOUT = Kind("request-timeout", 408, "The request did not arrive in time")
BODY_TOO_LARGE = Kind("body-too-large", 413, "The request body is too large")
TOO_MANY_RECORDS = Kind("too-many-records", 413, "The request holds too many records")
UNSUPPORTED_MEDIA_TYPE = Kind(
    "unsupported-media-type", 415, "The route does not take this kind of body"
)
NO_RECORDS = Kind("no-records", 422, "The request holds no records")
INVALID_RECORDS = Kind("invalid-records", 422, "Records are invalid; none was scored")
REASONS_UNAVAILABLE = Kind("reasons-unavailable", 422, "The model gives no reasons")
HEADERS_TOO_LARGE = Kind("headers-too-large", 431, "The request headers are too large")
MODEL_ERROR = Kind("model-error", 500, "The model failed on a record; none was scored")
INTERNAL_ERROR = Kind("internal-error", 500, "The request failed for a reason of the server")
NOT_READY = Kind("not-ready", 503, "The server does not score now", 1)
OVERLOADED = Kind("overloaded", 503, "Too many requests are under way", 1)
DEADLINE = Kind("deadline-exceeded", 503, "The request was not answered in time", 1)
UNAVAILABLE = Kind("unavailable", 503, "A service behind this one does not answer", 1)

KINDS: Final[Sequence[Kind]] = (
    MALFORMED, INVALID_PARAMETER, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, UNKNOWN_MODEL,
    METHOD_NOT_ALLOWED, REQUEST_TIMEOUT, BODY_TOO_LARGE, TOO_MANY_RECORDS, UNSUPPORTED_MEDIA_TYPE,
    NO_RECORDS, INVALID_RECORDS, REASONS_UNAVAILABLE, HEADERS_TOO_LARGE, MODEL_ERROR,
    INTERNAL_ERROR, NOT_READY, OVERLOADED, DEADLINE, UNAVAILABLE,
)  # fmt: skip

_BY_STATUS: Final[Mapping[int, Kind]] = {404: NOT_FOUND, 405: METHOD_NOT_ALLOWED}


class ProblemError(Exception):
    """A request that is answered with a problem document."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        rejections: Sequence[Rejection] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.rejections = rejections
        self.headers = headers or {}


class FieldError(msgspec.Struct, frozen=True):
    """One broken rule: where (`records[3].Age`), the code of the closed list, and the rule."""

    field: str
    code: str
    rule: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The document. `errors` has the first 1,000 of `error_count`.

    `error` is there under `/v2` alone: all that clients of the Open Inference Protocol read.
    """

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldError] = []
    error_count: int = 0
    error: str = ""


def problem_response(error: Exception, request_id: str, route: str = "") -> Response:
    """The answer to any error of a route."""
    problem = _problem(error)
    kind = problem.kind
    errors = list(islice(_field_errors(problem.rejections), MAX_ERRORS))
    body = Problem(
        kind.type,
        kind.title,
        kind.status,
        problem.detail,
        request_id,
        errors,
        sum(len(r.violations) for r in problem.rejections),
        _in_one_line(problem.detail, errors) if route.startswith("/v2") else "",
    )
    headers = {"cache-control": "no-store", **problem.headers}
    if kind.retry_after_seconds is not None:
        headers["retry-after"] = str(kind.retry_after_seconds)
    if isinstance(error, HTTPException) and error.headers:
        headers |= error.headers  # Allow
    return Response(msgspec.json.encode(body), kind.status, headers, MEDIA_TYPE)


def _in_one_line(detail: str, errors: Sequence[FieldError]) -> str:
    return f"{detail}: {errors[0].field} {errors[0].rule}" if errors else detail


def _problem(error: Exception) -> ProblemError:
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, HTTPException) and error.status_code in _BY_STATUS:
        kind = _BY_STATUS[error.status_code]
        return ProblemError(kind, "see the routes at GET /")
    if isinstance(error, ClientDisconnect):
        return ProblemError(MALFORMED, "the connection was closed before the body ended")
    if isinstance(error, TransientError):
        return ProblemError(UNAVAILABLE, "the same request may succeed later")
    return ProblemError(INTERNAL_ERROR, "the server's log has the reason under this request_id")


def _field_errors(rejections: Sequence[Rejection]) -> Iterator[FieldError]:
    for rejection in rejections:
        for violation in rejection.violations:
            place = f"records[{rejection.position}]{_member(violation)}"
            yield FieldError(place, violation.code.value, violation.rule)


def _member(violation: Violation) -> str:
    if violation.field is None:
        return ""
    if violation.code is RejectionCode.UNKNOWN_FIELD:
        return f".{violation.field[:MAX_NAME_CHARACTERS]}"
    return f".{violation.field}"
