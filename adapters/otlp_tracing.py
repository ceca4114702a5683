"""Traces over OTLP/HTTP: the one door to OpenTelemetry.

Names follow the OpenTelemetry semantic conventions for HTTP (stable, 1.23 and later) and for
messaging. An error is named by its type only, because its words may quote a record.
"""

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, StatusCode, format_trace_id, use_span

from adapters.otlp_spans import W3C, MessagesSpan, RequestSpan
from adapters.tracing import Headers, in_trace

_METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)
_PARENT_HEADERS: Final = ("traceparent", "ce_traceparent")  # of Kafka clients, of CloudEvents

logger = logging.getLogger(__name__)


class OtlpTracing:
    """Spans wait in memory, bounded, for a thread that exports them; when that falls behind, the
    oldest are lost. `OTEL_BSP_*`, `OTEL_TRACES_SAMPLER` and `OTEL_EXPORTER_OTLP_*` apply.
    """

    def __init__(self, service: str, quiet: frozenset[str]) -> None:
        self._quiet = quiet
        # The SDK would log each failure, with addresses; `_OneWarning` says it once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._provider = TracerProvider(resource=_resource(service), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(_OneWarning(OTLPSpanExporter())))
        self._tracer = self._provider.get_tracer("trilane")

    @contextmanager
    def server_span(self, method: str, headers: Mapping[bytes, bytes]) -> Iterator[RequestSpan]:
        """See `Tracing`."""
        carrier = {
            name: headers[name.encode()].decode("latin-1")
            for name in ("traceparent", "tracestate")
            if name.encode() in headers
        }
        method = method if method in _METHODS else "_OTHER"
        span = self._tracer.start_span(
            "HTTP" if method == "_OTHER" else method,
            W3C.extract(carrier, Context()),
            SpanKind.SERVER,
            {"http.request.method": method, "url.scheme": "http"},
        )
        request = RequestSpan(span)
        try:
            with _current(span):
                yield request
        finally:
            if request.route not in self._quiet:  # a span that does not end is not exported
                span.end()

    @contextmanager
    def process_span(
        self, hub: str, group: str, headers: Iterable[Headers]
    ) -> Iterator[MessagesSpan]:
        """See `Tracing`."""
        events = list(headers)
        attributes = {"messaging.consumer.group.name": group}
        with self._messages(SpanKind.CONSUMER, "process", hub, len(events), attributes) as span:
            span.link(
                value.decode("latin-1")
                for event in events
                for name, value in event
                if name in _PARENT_HEADERS
            )
            yield span

    @contextmanager
    def send_span(self, hub: str, count: int) -> Iterator[MessagesSpan]:
        """See `Tracing`."""
        with self._messages(SpanKind.PRODUCER, "send", hub, count, {}) as span:
            yield span

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """See `Tracing`."""
        span = self._tracer.start_span(name)
        try:
            with _current(span):
                yield
        finally:
            span.end()

    def close(self, seconds: float = 5.0) -> None:
        """See `Tracing`."""
        # The SDK's own bound does not cover an export that is under way.
        thread = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        thread.start()
        thread.join(seconds)
        if thread.is_alive():
            logger.warning("the last traces were not exported", extra={"event": "traces_lost"})

    @contextmanager
    def _messages(
        self, kind: SpanKind, operation: str, hub: str, count: int, attributes: dict[str, str]
    ) -> Iterator[MessagesSpan]:
        named: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.destination.name": hub,
            "messaging.operation.type": operation,
            "messaging.operation.name": operation,
            "messaging.batch.message_count": count,
            **attributes,
        }
        span = self._tracer.start_span(f"{operation} {hub}", kind=kind, attributes=named)
        try:
            with _current(span):
                yield MessagesSpan(span)
        finally:
            span.end()


@contextmanager
def _current(span: Span) -> Iterator[None]:
    """The span is the parent of those that begin inside; it notes the type of what passes."""
    trace_id = format_trace_id(span.get_span_context().trace_id)
    with use_span(span, record_exception=False, set_status_on_exception=False), in_trace(trace_id):
        try:
            yield
        except BaseException as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(StatusCode.ERROR)
            raise


def _resource(service: str) -> Resource:
    """What OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say, else the name given."""
    resource = Resource.create()
    if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": service}))
    return resource


class _OneWarning(SpanExporter):
    """An exporter that fails quietly: one warning until it works again."""

    def __init__(self, exporter: OTLPSpanExporter) -> None:
        self._exporter = exporter
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Raises nothing. Blocks for as long as OTEL_EXPORTER_OTLP_TIMEOUT says."""
        reason = "the collector refuses them or does not answer"
        try:
            result = self._exporter.export(spans)
        except Exception as error:
            result, reason = SpanExportResult.FAILURE, type(error).__name__
        if result is not SpanExportResult.SUCCESS and not self._failing:
            extra = {"event": "traces_lost", "reason": reason}
            logger.warning("traces cannot be exported", extra=extra)
        self._failing = result is not SpanExportResult.SUCCESS
        return result

    def shutdown(self) -> None:
        """Give up what is under way."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
