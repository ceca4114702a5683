"""Traces, off unless the environment names an exporter. Off, nothing of OpenTelemetry is imported.

The environment is the OpenTelemetry specification's own ("Environment Variable Specification",
"OpenTelemetry Protocol Exporter"): `OTEL_TRACES_EXPORTER=otlp`, or an endpoint in
`OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, turns traces on.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from scoring.errors import ConfigurationError

if TYPE_CHECKING:
    from scoring.records import ModelVersion

Headers = tuple[tuple[str, bytes], ...]

_trace_id: ContextVar[str | None] = ContextVar("trilane_trace_id", default=None)


class Scored(Protocol):
    """What a span says of records: how many, and which model got them. Never their values."""

    @property
    def records(self) -> int: ...  # noqa: D102
    @property
    def version(self) -> "ModelVersion": ...  # noqa: D102


class ServerSpan(Protocol):
    """One HTTP request."""

    @property
    def trace_id(self) -> str | None:
        """32 hexadecimal digits; None when traces are off."""

    def answered(
        self, route: str, status: int, scored: Scored | None = None, request_id: str | None = None
    ) -> None:
        """Say what became of it. A route is a pattern of the app; "unmatched" for none, as a path
        that no route has is the caller's own text. Status 0 is no answer.
        """


class BatchSpan(Protocol):
    """Events taken, or sent, together."""

    @property
    def headers(self) -> Headers:
        """What continues the trace, for each message that is sent; () when traces are off."""

    def link(self, traceparents: Iterable[str | None]) -> None:
        """Link the span to others, in the form of W3C Trace Context; what is not one is ignored."""

    def scored(self, records: int, version: "ModelVersion") -> None:
        """Say how many records got scores, and whose."""


class Tracing(Protocol):
    """Where spans begin. A span is the parent of those that begin inside it, in the same task."""

    def server_span(
        self, method: str, headers: Mapping[bytes, bytes]
    ) -> AbstractContextManager[ServerSpan]:
        """Around a request; `headers` have lower-case names. Continues the caller's trace."""

    def process_span(
        self, hub: str, group: str, headers: Iterable[Headers]
    ) -> AbstractContextManager[BatchSpan]:
        """Around a batch of events, with the headers of each; it is linked to what sent them."""

    def send_span(self, hub: str, count: int) -> AbstractContextManager[BatchSpan]:
        """Around the sending of `count` messages."""

    def span(self, name: str) -> AbstractContextManager[object]:
        """Around one step. An error that passes is named by its type, not by its words."""

    def close(self, seconds: float = 5.0) -> None:
        """Export what is left; spans that are not out by then are lost."""


class NoSpan:
    """A span that says nothing, and its own context manager."""

    trace_id: str | None = None
    headers: Headers = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def answered(
        self, route: str, status: int, scored: Scored | None = None, request_id: str | None = None
    ) -> None:
        """Nothing."""

    def link(self, traceparents: Iterable[str | None]) -> None:
        """Nothing."""

    def scored(self, records: int, version: "ModelVersion") -> None:
        """Nothing."""


NO_SPAN: Final = NoSpan()


class NoTracing:
    """Traces are off."""

    def server_span(self, method: str, headers: Mapping[bytes, bytes]) -> NoSpan:  # noqa: ARG002
        """Nothing."""
        return NO_SPAN

    def process_span(self, hub: str, group: str, headers: Iterable[Headers]) -> NoSpan:  # noqa: ARG002
        """Nothing."""
        return NO_SPAN

    def send_span(self, hub: str, count: int) -> NoSpan:  # noqa: ARG002
        """Nothing."""
        return NO_SPAN

    def span(self, name: str) -> NoSpan:  # noqa: ARG002
        """Nothing."""
        return NO_SPAN

    def close(self, seconds: float = 5.0) -> None:
        """Nothing."""


NO_TRACING: Final = NoTracing()


def open_tracing(service: str, quiet: frozenset[str] = frozenset()) -> Tracing:
    """What the environment asks for; `OTEL_SERVICE_NAME` there wins over `service`. Requests of
    `quiet` routes are not traced. Call it in the process that works, after a fork.

    Raises ConfigurationError for another exporter or protocol, and without the packages.
    """
    if not _asked_for(os.environ):
        return NO_TRACING
    try:
        from adapters.otlp_tracing import OtlpTracing
    except ImportError as error:
        raise ConfigurationError(
            f"the environment asks for traces, but there is no {error.name}: install trilane with"
            " the extra tracing, or set OTEL_SDK_DISABLED=true"
        ) from error
    return OtlpTracing(service, quiet)


def current_trace_id() -> str | None:
    """The trace of the request or batch in hand; None outside of one and when traces are off."""
    return _trace_id.get()


@contextmanager
def in_trace(trace_id: str) -> Iterator[None]:
    """Around what belongs to a trace, so that log lines name it."""
    token = _trace_id.set(trace_id)
    try:
        yield
    finally:
        _trace_id.reset(token)


def _asked_for(environment: Mapping[str, str]) -> bool:
    def value(name: str) -> str:
        return environment.get(name, "").strip()

    if value("OTEL_SDK_DISABLED").lower() == "true":
        return False
    exporter = value("OTEL_TRACES_EXPORTER")
    endpoint = value("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or value("OTEL_EXPORTER_OTLP_ENDPOINT")
    if exporter == "none" or not (exporter or endpoint):
        return False
    if exporter not in ("", "otlp"):
        raise ConfigurationError("OTEL_TRACES_EXPORTER is otlp or none; others are not supported")
    protocol = value("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or value("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in ("", "http/protobuf"):
        raise ConfigurationError(
            "OTEL_EXPORTER_OTLP_PROTOCOL is http/protobuf; others are not supported"
        )
    return True
