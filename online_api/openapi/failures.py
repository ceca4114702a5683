"""Problem documents: their schema, and the answers that are one."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from online_api.openapi.pieces import REQUEST_ID, answer, content, ref
from online_api.problems import (
    KINDS,
    MAX_ERRORS,
    MEDIA_TYPE,
    Kind,
    ProblemError,
    problem_response,
)
from scoring.json_schema import TEXT, WHOLE, Piece, list_of, open_record_of
from scoring.records import RejectionCode

SCORING: Final = (400, 408, 413, 415, 422, 431, 500, 503)
"""Of every route that takes records, whoever calls."""

READING: Final = (431, 500, 503)
"""Of every route that shows something."""

PROBING: Final = (431, 500)
"""Of a probe that says only that the process lives."""

REFUSING: Final = (401, 403)
"""Of routes that ask who calls."""

_HEADERS: Final[Mapping[int, str]] = {
    401: "WWW-Authenticate",
    403: "WWW-Authenticate",
    503: "Retry-After",
}


def problem() -> Piece:
    """The schema."""
    error = open_record_of(
        {
            "field": {**TEXT, "description": "Where: `records[3].Age`. Positions count from 0."},
            "code": {**TEXT, "enum": [code.value for code in RejectionCode]},
            "rule": {**TEXT, "description": "What must hold."},
        }
    )
    about = "The first errors, for `invalid-records` and `model-error`."
    return open_record_of(
        {
            "type": {**TEXT, "enum": [kind.type for kind in KINDS]},
            "title": TEXT,
            "status": WHOLE,
            "detail": TEXT,
            "request_id": TEXT,
            "errors": list_of(error, maxItems=MAX_ERRORS, description=about),
            "error_count": {**WHOLE, "description": "How many errors there are in all."},
            "error": {**TEXT, "description": "Under `/v2` only: `detail` and the first error."},
        },
        ["type", "title", "status", "detail", "request_id"],
        description="RFC 9457. Names fields and rules, never values.",
    )


def responses() -> Piece:
    """The components: an answer for every status that a problem has."""
    return {_name(status): _response(status) for status in sorted({kind.status for kind in KINDS})}


def failures(statuses: Iterable[int]) -> Piece:
    """What an operation says of the statuses it fails with."""
    return {str(status): ref(_name(status), "responses") for status in sorted(statuses)}


def shown_failure(status: int, examples: Mapping[str, Any] | None) -> Piece:
    """What an operation says of a status for which it may have examples of its own."""
    return {str(status): _response(status, examples)} if examples else failures([status])


def _response(status: int, examples: Mapping[str, Any] | None = None) -> Piece:
    kinds = [kind for kind in KINDS if kind.status == status]
    description = "; ".join(f"`{kind.code}`: {kind.title}" for kind in kinds)
    headers = [_HEADERS[status]] if status in _HEADERS else []
    shown = {**(examples or {}), **{kind.code: _example(kind) for kind in kinds}}
    return answer(description, {MEDIA_TYPE: content(ref("Problem"), shown)}, headers)


def _example(kind: Kind) -> Any:
    error = ProblemError(kind, "what is wrong, in a sentence")
    return msgspec.json.decode(bytes(problem_response(error, REQUEST_ID).body))


def _name(status: int) -> str:
    return f"Problem{status}"
