"""The spans of `adapters.otlp_tracing`."""

from collections.abc import Iterable
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import (
    Span,
    SpanContext,
    StatusCode,
    format_span_id,
    format_trace_id,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from adapters.tracing import Headers, Scored
from scoring.records import ModelVersion

W3C: Final = TraceContextTextMapPropagator()
_UNMATCHED: Final = "unmatched"


class RequestSpan:
    """A `ServerSpan`."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self.route = _UNMATCHED
        self.trace_id: str | None = format_trace_id(span.get_span_context().trace_id)

    def answered(
        self, route: str, status: int, scored: Scored | None = None, request_id: str | None = None
    ) -> None:
        """See `ServerSpan`."""
        span, self.route = self._span, route
        if route != _UNMATCHED:
            span.set_attribute("http.route", route)
            if "{" not in route:
                span.set_attribute("url.path", route)
            if isinstance(span, ReadableSpan):  # not one that the sampler left out
                span.update_name(f"{span.name} {route}")
        if status:
            span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_attribute("error.type", str(status))
            span.set_status(StatusCode.ERROR)
        if request_id is not None:
            span.set_attribute("trilane.request_id", request_id)
        if scored is not None:
            _set_scored(span, scored.records, scored.version)


class MessagesSpan:
    """A `BatchSpan`."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._linked: set[tuple[int, int]] = set()

    @property
    def headers(self) -> Headers:
        """See `BatchSpan`."""
        context = self._span.get_span_context()
        parts = (
            "00",
            format_trace_id(context.trace_id),
            format_span_id(context.span_id),
            f"{context.trace_flags:02x}",
        )
        return (("traceparent", "-".join(parts).encode()),)

    def link(self, traceparents: Iterable[str | None]) -> None:
        """See `BatchSpan`. Beyond OTEL_SPAN_LINK_COUNT_LIMIT (128) the oldest links are lost."""
        for text in traceparents:
            context = None if text is None else _span_context(text)
            if context is None or (context.trace_id, context.span_id) in self._linked:
                continue
            self._linked.add((context.trace_id, context.span_id))
            self._span.add_link(context)

    def scored(self, records: int, version: ModelVersion) -> None:
        """See `BatchSpan`."""
        _set_scored(self._span, records, version)


def _set_scored(span: Span, records: int, version: ModelVersion) -> None:
    span.set_attribute("trilane.records", records)
    span.set_attribute("trilane.model", version.name)
    span.set_attribute("trilane.version", version.version)


def _span_context(traceparent: str) -> SpanContext | None:
    span = get_current_span(W3C.extract({"traceparent": traceparent}, Context()))
    found = span.get_span_context()
    return found if found.is_valid else None
