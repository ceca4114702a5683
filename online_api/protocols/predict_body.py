"""The body of `/predict` as records: an array of them, or an object with them and their time."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from online_api.context import Limits
from online_api.lane import Read
from online_api.problems import (
    MALFORMED,
    MAX_NAME_CHARACTERS,
    NO_RECORDS,
    TOO_MANY_RECORDS,
    ProblemError,
)
from scoring.json_text import NotJsonError, decode_json
from scoring.predictions import RECORD_ID
from scoring.schema import Schema
from scoring.typed_rows import made_ids, typed_rows
from scoring.validation import validate_rows

_MEMBERS: Final = frozenset({"records", "event_time"})
_EVENT_TIME_RULE: Final = (
    "event_time must be an ISO 8601 date-time with a zone, between the years 1970 and 2261"
)


class TypedBody(NamedTuple):
    """A body as typed rows, at least one; `event_time` is None when it does not say it."""

    rows: Sequence[Any]
    event_time: datetime | None


class PredictBody:
    """Reads bodies for one model."""

    def __init__(self, schema: Schema, limits: Limits) -> None:
        self._schema = schema
        self._limits = limits
        id_member = None if RECORD_ID in schema.names else RECORD_ID
        self._id_member = id_member
        self.rows = typed_rows(schema, id_member)
        self._decoder = None if self.rows is None else _decoder(self.rows.row)

    def read(self, body: bytes, base: str) -> Read:
        """The records. One without id gets an id that begins with `base`. Raises ProblemError."""
        typed = self.typed(body)
        if typed is not None and self.rows is not None:
            valid = self.rows.validated(typed.rows, base)
            if valid is not None:
                return Read(valid, typed.event_time)
        return self._closely(body, base)

    def typed(self, body: bytes) -> TypedBody | None:
        """The records as `rows` takes them; None when something needs a closer look.

        Raises ProblemError.
        """
        if self.rows is None or self._decoder is None:
            return None
        try:
            document = self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        rows, time = document, msgspec.UNSET
        if not isinstance(document, list):
            rows, time = document.records, document.event_time
        if not 0 < len(rows) <= self._limits.max_records:
            return None
        return TypedBody(rows, None if time is msgspec.UNSET else _event_time(time))

    def _closely(self, body: bytes, base: str) -> Read:
        rows, event_time = self._parsed(body)
        ids: list[Any] = made_ids(base, len(rows))
        if self._id_member is not None:
            ids = [_taken(row, made) for row, made in zip(rows, ids, strict=True)]
        return Read(validate_rows(self._schema, rows, ids), event_time)

    def _parsed(self, body: bytes) -> tuple[Sequence[Any], datetime | None]:
        document, event_time = _decoded(body), None
        rows = document
        if isinstance(document, dict) and "records" in document:
            rows = document["records"]
            for name in sorted(document.keys() - _MEMBERS):
                raise _malformed(f"the body has an unknown member '{name[:MAX_NAME_CHARACTERS]}'")
            if "event_time" in document:
                event_time = _event_time(document["event_time"])
        if not isinstance(rows, list):
            raise _malformed(
                "the body must be an array of records or an object with an array 'records'"
            )
        require_count(len(rows), self._limits)
        return rows, event_time


def _decoder(row: Any) -> "msgspec.json.Decoder[Any]":
    fields: list[Any] = [("records", list[row]), ("event_time", Any, msgspec.UNSET)]
    envelope: Any = msgspec.defstruct("Envelope", fields, forbid_unknown_fields=True)
    return msgspec.json.Decoder(list[row] | envelope)


def require_count(count: int, limits: Limits) -> None:
    """At least one record and not too many. Raises ProblemError."""
    if not count:
        raise ProblemError(NO_RECORDS, "send at least one record")
    if count > limits.max_records:
        raise ProblemError(TOO_MANY_RECORDS, f"send at most {limits.max_records} records")


def _taken(row: Any, made: str) -> Any:
    """The caller's id, which is taken out of the record, or the one that was made."""
    return row.pop(RECORD_ID, made) if isinstance(row, dict) else made


def _decoded(body: bytes) -> Any:
    try:
        return decode_json(body)
    except NotJsonError as error:
        raise _malformed(f"the body {error}") from None


def _event_time(value: Any) -> datetime:
    if not isinstance(value, str):
        raise _malformed(_EVENT_TIME_RULE)
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise _malformed(_EVENT_TIME_RULE) from None
    if time.tzinfo is None or not 1970 <= time.year <= 2261:
        raise _malformed(_EVENT_TIME_RULE)
    return time.astimezone(UTC)


def _malformed(detail: str) -> ProblemError:
    return ProblemError(MALFORMED, detail)
