"""When traces are on, and what it costs when they are off."""

import os
import subprocess
import sys

import pytest

from adapters.tracing import NO_TRACING, current_trace_id, open_tracing
from scoring.errors import ConfigurationError
from scoring.records import ModelVersion

_OFF = """
import sys
from adapters.tracing import open_tracing
tracing = open_tracing("online")
with tracing.server_span("POST", {b"traceparent": b"x"}) as span, tracing.span("score"):
    span.answered("/predict", 200)
tracing.close()
loaded = [name for name in sys.modules if name.partition(".")[0] in ("opentelemetry", "requests")]
print(span.trace_id, loaded)
"""

_WITHOUT = """
import sys
sys.modules["opentelemetry"] = None
from adapters.tracing import open_tracing
from scoring.errors import ConfigurationError
try:
    open_tracing("online")
except ConfigurationError as error:
    print(error)
"""


def run(program: str, **variables: str) -> str:
    """What the program prints, with these variables and no other of OpenTelemetry's."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment | variables,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_EXPORTER": "", "OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"OTEL_SERVICE_NAME": "scoring", "OTEL_TRACES_SAMPLER": "always_on"},
    ],
)
def test_traces_are_off_unless_an_exporter_is_named(variables: dict[str, str]) -> None:
    """Nothing of OpenTelemetry or of its HTTP client is imported then."""
    assert run(_OFF, **variables) == "None []"


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_TRACES_EXPORTER": "otlp"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"},
    ],
)
def test_without_the_packages_the_advice_is_the_extra(variables: dict[str, str]) -> None:
    """A process that was told to trace does not start without."""
    words = run(_WITHOUT, **variables)
    assert "the extra tracing" in words
    assert "OTEL_SDK_DISABLED=true" in words


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "console"),
        ("OTEL_TRACES_EXPORTER", "otlp,zipkin"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
    ],
)
def test_what_is_not_supported_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """It names the variable and what it may be."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv(variable, value)
    name = variable.replace("TRACES_PROTOCOL", "PROTOCOL")
    with pytest.raises(ConfigurationError, match=f"^{name} is "):
        open_tracing("online")


def test_spans_that_are_off_say_nothing_and_change_nothing() -> None:
    """Headers are not touched, errors pass, and log lines get no trace id."""
    with NO_TRACING.process_span("events", "group", []) as batch:
        batch.link(["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"])
        batch.scored(1, ModelVersion("toy", "7", "d"))
        assert current_trace_id() is None
    with NO_TRACING.send_span("scores", 1) as sent:
        assert sent.headers == ()
    with pytest.raises(ZeroDivisionError), NO_TRACING.span("score"):
        _ = 1 / 0
