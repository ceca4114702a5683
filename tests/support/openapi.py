"""The OpenAPI document in tests."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from starlette.types import ASGIApp

from adapters.telemetry import LaneMetrics
from online_api.context import Limits, Load
from online_api.openapi import Guards, build_openapi
from online_api.scorer import open_scorer
from online_api.served import Models, ServedModel
from scoring.model import ModelBundle
from tests.support.online import MemoryLog

Document = dict[str, Any]


class Operation(NamedTuple):
    """One operation of a document."""

    method: str
    path: str
    body: dict[str, Any]


def document_of(
    *models: ModelBundle, limits: Limits | None = None, guards: Guards | None = None
) -> Document:
    """The document of an API that serves these, the first as the default; as JSON has it."""
    served = [_served(model) for model in models]
    document = build_openapi(Models(served, served[0]), limits or Limits(), guards)
    found: Document = msgspec.json.decode(msgspec.json.encode(document))
    return found


def routes_of(app: ASGIApp) -> set[tuple[str, str]]:
    """Method and path of every route of an app, but for the files that the pages load."""
    routes = [vars(route) for route in vars(app)["_app"].routes]
    return {
        ("POST" if "POST" in route["methods"] else "GET", route["path"])
        for route in routes
        if not route["path"].startswith("/assets/")
    }


def operations(document: Document) -> Iterator[Operation]:
    """Every operation."""
    for path, item in document["paths"].items():
        for method, body in item.items():
            yield Operation(method, path, body)


def resolved(document: Document, name: str) -> dict[str, Any]:
    """A schema of the document for a JSON Schema validator."""
    return standing(document, {"$ref": f"#/components/schemas/{name}"})


def standing(document: Document, schema: dict[str, Any]) -> dict[str, Any]:
    """Any schema of the document with what it refers to beside it."""
    return {**schema, "components": document["components"]}


def _served(model: ModelBundle) -> ServedModel:
    metrics = LaneMetrics("online", model.version.name, model.version.version)
    scorer = open_scorer(model, Limits(), metrics, Load())
    return ServedModel(model, scorer, MemoryLog(), metrics, lambda: None)
