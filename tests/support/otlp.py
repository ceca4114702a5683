"""A stand-in for an OpenTelemetry collector on 127.0.0.1: OTLP/HTTP with protobuf bodies.

POST /v1/traces takes an ExportTraceServiceRequest, plain or gzip, and answers an empty
ExportTraceServiceResponse (opentelemetry.io/docs/specs/otlp, "OTLP/HTTP").
"""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}


@dataclass(frozen=True)
class Exported:
    """One span as it arrived; ids in hexadecimal, a parent of "" is none."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    failed: bool
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    events: int
    service: str


@dataclass
class Collector:
    """What arrived. `status` is what every call gets; while `held` is set, none is answered."""

    status: int = 200
    spans: list[Exported] = field(default_factory=list)
    calls: int = 0
    held: threading.Event = field(default_factory=threading.Event)
    endpoint: str = ""
    raw: bytes = b""

    def answer(self, path: str, headers: Any, body: bytes) -> int:
        """The status for a call; keeps its spans when that is 200."""
        self.calls += 1
        while self.held.is_set():
            time.sleep(0.01)
        if path != "/v1/traces" or headers.get("Content-Type") != "application/x-protobuf":
            return 400
        if self.status != 200:
            return self.status
        raw = gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
        self.raw += raw
        self.spans += _spans(ExportTraceServiceRequest.FromString(raw))
        return 200

    def named(self, name: str) -> Exported:
        """The one span of that name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def wait(self, until: Callable[["Collector"], object], seconds: float = 30.0) -> None:
        """Raises AssertionError when it is not so in time."""
        deadline = time.monotonic() + seconds
        while not until(self):
            assert time.monotonic() < deadline, f"only {[s.name for s in self.spans]} arrived"
            time.sleep(0.02)


@contextmanager
def otlp_collector(status: int = 200) -> Iterator[Collector]:
    """A running stand-in; its `endpoint` is a base URL."""
    collector = Collector(status)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = collector.answer(self.path, self.headers, body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield collector
    finally:
        collector.held.clear()
        server.shutdown()
        thread.join()
        server.server_close()


def _spans(request: ExportTraceServiceRequest) -> Iterator[Exported]:
    for resource in request.resource_spans:
        service = _attributes(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Exported(
                    span.name,
                    KINDS[span.kind],
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.status.code == 2,
                    _attributes(span.attributes),
                    [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
                    len(span.events),
                    service,
                )


def _attributes(values: Any) -> dict[str, Any]:
    return {
        pair.key: getattr(pair.value, cast("str", pair.value.WhichOneof("value")))
        for pair in cast("list[KeyValue]", values)
    }
