"""What the worker's side port shows beside probes and metrics."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from adapters.probes import JSON, Page
from scoring.model import ModelBundle
from scoring.model_document import model_document
from stream_worker.asyncapi.hubs import DocumentedHubs, SignIn
from stream_worker.asyncapi.pages import asyncapi_pages
from stream_worker.settings import StreamSettings

if TYPE_CHECKING:
    from adapters.event_hub.opening import Connection


def pages(
    settings: StreamSettings, connection: "Connection", model: ModelBundle
) -> Mapping[str, Page]:
    """Content type and body by path: the model, and the AsyncAPI document as JSON and to read."""
    document = asyncapi_pages(model, _documented(settings, connection))
    return {"/model": (JSON, model_document(model, threads=1)), **document}


def _documented(settings: StreamSettings, connection: "Connection") -> DocumentedHubs:
    sign_in: SignIn = "none"
    if connection.workload_identity:
        sign_in = "workload_identity"
    elif connection.connection_string is not None:
        sign_in = "connection_string"
    return DocumentedHubs(
        events=settings.events_hub,
        scores=settings.scores_hub,
        dead_letters=settings.dead_letters_hub,
        consumer_group=settings.consumer_group,
        servers=connection.servers,
        transport=settings.transport,
        secured=connection.secured,
        reasons=settings.reasons,
        max_event_bytes=settings.max_event_bytes,
        sign_in=sign_in,
    )
