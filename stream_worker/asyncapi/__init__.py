"""The AsyncAPI document of the stream worker, and its page."""

from stream_worker.asyncapi.document import asyncapi_document, asyncapi_json
from stream_worker.asyncapi.hubs import DocumentedHubs
from stream_worker.asyncapi.page import asyncapi_page
from stream_worker.asyncapi.pages import asyncapi_pages

__all__ = [
    "DocumentedHubs",
    "asyncapi_document",
    "asyncapi_json",
    "asyncapi_page",
    "asyncapi_pages",
]
