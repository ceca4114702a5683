"""What the side port shows of the document."""

from collections.abc import Mapping

from adapters.probes import HTML, JSON, Page
from scoring.model import ModelBundle
from stream_worker.asyncapi.document import asyncapi_document, asyncapi_json
from stream_worker.asyncapi.hubs import DocumentedHubs
from stream_worker.asyncapi.page import asyncapi_page


def asyncapi_pages(model: ModelBundle, hubs: DocumentedHubs) -> Mapping[str, Page]:
    """Content type and body of `/docs` and `/asyncapi.json`, for `ProbeServer`."""
    document = asyncapi_document(model, hubs)
    return {
        "/docs": (HTML, asyncapi_page(document)),
        "/asyncapi.json": (JSON, asyncapi_json(document)),
    }
