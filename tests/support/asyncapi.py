"""The AsyncAPI document in tests."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import jsonschema  # type: ignore[import-untyped]

from scoring.model import ModelBundle
from stream_worker.asyncapi import DocumentedHubs, asyncapi_document, asyncapi_json

Document = dict[str, Any]

HUBS = DocumentedHubs(
    events="events",
    scores="scores",
    dead_letters="dead",
    consumer_group="group",
    servers=("127.0.0.1:9092",),
    transport="kafka",
    secured=False,
    reasons=0,
    max_event_bytes=10_000,
)

FORMATS = jsonschema.FormatChecker(formats=())
"""The formats of the document, as the OpenAPI format registry and RFC 3339 define them."""

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def document_of(model: ModelBundle, hubs: DocumentedHubs = HUBS) -> Document:
    """The document as its readers have it."""
    found: Document = json.loads(asyncapi_json(asyncapi_document(model, hubs)))
    return found


def validator(document: Document, schema: dict[str, Any]) -> Any:
    """A validator for a schema of the document, which may refer to others."""
    standing = {"allOf": [schema], "components": document["components"]}
    return jsonschema.Draft7Validator(standing, format_checker=FORMATS)


def message(document: Document, name: str) -> Any:
    """One of the messages."""
    return document["components"]["messages"][name]


def example(document: Document, name: str) -> Any:
    """The only example of a message."""
    (found,) = message(document, name)["examples"]
    return found


def references(part: Any) -> Iterator[str]:
    """Every reference in a part of a document, examples aside."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for name, inner in part.items():
            if name != "examples":
                yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


@FORMATS.checks("int32")  # type: ignore[untyped-decorator]
def _int32(value: Any) -> bool:
    return not _is_number(value) or -(2**31) <= value < 2**31


@FORMATS.checks("int64")  # type: ignore[untyped-decorator]
def _int64(value: Any) -> bool:
    return not _is_number(value) or -(2**63) <= value < 2**63


@FORMATS.checks("float")  # type: ignore[untyped-decorator]
def _float(value: Any) -> bool:
    return not _is_number(value) or abs(value) < 2**128 - 2**103  # where rounding goes to infinity


@FORMATS.checks("double")  # type: ignore[untyped-decorator]
def _double(value: Any) -> bool:
    return not _is_number(value) or abs(value) < 2**1024 - 2**970


@FORMATS.checks("date-time")  # type: ignore[untyped-decorator]
def _date_time(value: Any) -> bool:
    if not isinstance(value, str):
        return True
    if not _RFC_3339.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value.upper())
    except ValueError:
        return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
