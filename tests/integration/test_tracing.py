"""Traces as a collector receives them."""

import asyncio
import json
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.logs import JsonFormatter
from adapters.tracing import Tracing, current_trace_id, open_tracing
from local_stack.broker import run_broker
from scoring.records import ModelVersion
from tests.support.broker import MemoryWriter, event, produce, received
from tests.support.otlp import Collector, otlp_collector
from tests.support.stream_rig import Rig
from tests.support.toy import EXAMPLE, load_toy, make_bundle
from tests.support.worker_process import WorkerProcess

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = f"00-{TRACE}-{PARENT}-01"
SECRET = "Sylvia Plath"


@dataclass(frozen=True)
class Scored:
    """What was scored."""

    records: int
    version: ModelVersion


THREE = Scored(3, ModelVersion("toy", "7", "d1"))


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that the environment names."""
    with otlp_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        yield collector


@pytest.fixture
def tracing(collector: Collector) -> Iterator[Tracing]:
    """Tracing to it."""
    tracing = open_tracing("online", frozenset({"/livez"}))
    yield tracing
    tracing.close()


def test_a_request_continues_the_caller_s_trace(tracing: Tracing, collector: Collector) -> None:
    """The server span is the caller's child, with the conventions' names and the model."""
    headers = {b"traceparent": CALLER.encode(), b"host": b"x"}
    with tracing.server_span("POST", headers) as span:
        assert span.trace_id == current_trace_id() == TRACE
        with tracing.span("validate"):
            pass
        with tracing.span("score"):
            pass
        span.answered("/predict", 200, THREE, "id-1")
    assert current_trace_id() is None
    tracing.close()
    server = collector.named("POST /predict")
    assert (server.kind, server.trace_id, server.parent_id) == ("server", TRACE, PARENT)
    assert (server.service, server.failed) == ("online", False)
    assert server.attributes == {
        "http.request.method": "POST",
        "url.scheme": "http",
        "http.route": "/predict",
        "url.path": "/predict",
        "http.response.status_code": 200,
        "trilane.request_id": "id-1",
        "trilane.records": 3,
        "trilane.model": "toy",
        "trilane.version": "7",
    }
    for name in ("validate", "score"):
        child = collector.named(name)
        assert (child.kind, child.trace_id, child.parent_id) == ("internal", TRACE, server.span_id)


@pytest.mark.parametrize("given", [b"", b"00-nonsense", b"00-" + b"0" * 32 + b"-" + b"0" * 16])
def test_a_request_without_a_trace_begins_one(
    tracing: Tracing, collector: Collector, given: bytes
) -> None:
    """Also when what came is no W3C trace context."""
    with tracing.server_span("GET", {b"traceparent": given}) as span:
        span.answered("/model", 200)
    tracing.close()
    server = collector.named("GET /model")
    assert server.parent_id == ""
    assert server.trace_id == span.trace_id


def test_a_path_that_no_route_has_is_not_recorded(tracing: Tracing, collector: Collector) -> None:
    """Neither is a method that HTTP does not know: both are the caller's own words."""
    with tracing.server_span(SECRET, {}) as span:
        span.answered("unmatched", 404)
    tracing.close()
    server = collector.named("HTTP")
    assert server.attributes == {
        "http.request.method": "_OTHER",
        "url.scheme": "http",
        "http.response.status_code": 404,
    }
    assert not server.failed
    assert SECRET.encode() not in collector.raw


def test_a_route_with_parameters_has_no_path(tracing: Tracing, collector: Collector) -> None:
    """The pattern is all that is known."""
    with tracing.server_span("POST", {}) as span:
        span.answered("/v2/models/{name}/infer", 200)
    tracing.close()
    assert "url.path" not in collector.named("POST /v2/models/{name}/infer").attributes


def test_probes_are_not_traced(tracing: Tracing, collector: Collector) -> None:
    """They come every few seconds and say nothing."""
    for route in ("/livez", "/predict"):
        with tracing.server_span("GET", {}) as span:
            span.answered(route, 200)
    tracing.close()
    assert [span.name for span in collector.spans] == ["GET /predict"]


def test_an_error_is_named_by_its_type(tracing: Tracing, collector: Collector) -> None:
    """Its words may quote a record, so they are nowhere in what is exported."""
    with tracing.server_span("POST", {}) as span:
        with pytest.raises(ValueError, match=SECRET), tracing.span("score"):
            raise ValueError(SECRET)
        span.answered("/predict", 500)
    tracing.close()
    step, server = collector.named("score"), collector.named("POST /predict")
    assert (step.failed, step.attributes, step.events) == (True, {"error.type": "ValueError"}, 0)
    assert server.failed
    assert server.attributes["error.type"] == "500"
    assert SECRET.encode() not in collector.raw


async def test_requests_at_once_do_not_mix(tracing: Tracing, collector: Collector) -> None:
    """Each task has its own parent, whatever runs in between."""

    async def request(number: int) -> str | None:
        with tracing.server_span("POST", {}) as span:
            for _ in range(3):
                await asyncio.sleep(0)
            with tracing.span(f"step {number}"):
                await asyncio.to_thread(lambda: None)
            span.answered("/predict", 200)
            return span.trace_id

    traces = await asyncio.gather(*(request(number) for number in range(5)))
    tracing.close()
    assert len(set(traces)) == 5
    assert [collector.named(f"step {number}").trace_id for number in range(5)] == traces


def test_log_lines_name_the_trace(tracing: Tracing) -> None:
    """What is logged inside a request can be found by the trace's id, and by nothing outside."""
    record = logging.makeLogRecord({"msg": "m", "levelname": "INFO"})
    with tracing.server_span("POST", {b"traceparent": CALLER.encode()}), tracing.span("score"):
        assert json.loads(JsonFormatter().format(record))["trace_id"] == TRACE
    assert "trace_id" not in json.loads(JsonFormatter().format(record))


def test_a_batch_of_events_is_linked_to_what_sent_them(
    tracing: Tracing, collector: Collector
) -> None:
    """Each trace once, from Kafka headers, CloudEvents headers and the events themselves."""
    others = [f"00-{TRACE[:-1]}{digit}-{PARENT}-01" for digit in "123"]
    headers = [
        (("traceparent", CALLER.encode()),),
        (("ce_traceparent", others[0].encode()), ("content-type", b"x")),
        (("traceparent", CALLER.encode()),),
        (("traceparent", b"\xff"),),
        (),
    ]
    with tracing.process_span("events", "trilane", headers) as span:
        span.link([None, others[1], "nonsense", others[0]])
        span.scored(4, THREE.version)
    tracing.close()
    batch = collector.named("process events")
    assert (batch.kind, batch.parent_id) == ("consumer", "")
    assert batch.links == [(t[3:35], PARENT) for t in (CALLER, others[0], others[1])]
    assert batch.attributes == {
        "messaging.system": "kafka",
        "messaging.destination.name": "events",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.batch.message_count": 5,
        "messaging.consumer.group.name": "trilane",
        "trilane.records": 4,
        "trilane.model": "toy",
        "trilane.version": "7",
    }


def test_sent_messages_carry_the_trace(tracing: Tracing, collector: Collector) -> None:
    """Their header names the span of the sending, which belongs to the batch."""
    with tracing.process_span("events", "trilane", []), tracing.send_span("scores", 2) as span:
        ((name, value),) = span.headers
    tracing.close()
    sent, batch = collector.named("send scores"), collector.named("process events")
    assert (sent.kind, sent.parent_id) == ("producer", batch.span_id)
    assert sent.attributes["messaging.operation.type"] == "send"
    assert sent.attributes["messaging.batch.message_count"] == 2
    assert name == "traceparent"
    version, trace_id, span_id, flags = value.decode().split("-")
    assert (version, trace_id, span_id) == ("00", sent.trace_id, sent.span_id)
    assert int(flags, 16) & 1  # sampled


async def test_the_stream_worker_s_batch_is_one_trace(
    tracing: Tracing, collector: Collector, tmp_path: Path
) -> None:
    """Scored, sent, logged and committed under one span, which is linked to the events; what it
    sends carries the trace, beside the headers it has anyway.
    """
    writer = MemoryWriter()
    rig = Rig(load_toy(tmp_path, reference=0), writer, tracing=tracing)
    events = [
        received(event("a", EXAMPLE, traceparent=CALLER)),
        received(event("b", {"x": SECRET}), 1),
    ]
    await rig.pipeline.take(rig.claim(2), events)
    await rig.idle()
    tracing.close()
    assert rig.pipeline.failure is None
    batch = collector.named("process events")
    assert batch.links == [(TRACE, PARENT)]
    assert batch.attributes["trilane.records"] == 1
    assert batch.attributes["trilane.model"] == "toy"
    steps = ["score", "send scores", "send dead", "log", "commit"]
    assert [s.name for s in collector.spans] == [*steps, "process events"]
    assert {collector.named(step).parent_id for step in steps} == {batch.span_id}
    for message, name in zip(writer.messages, ("send scores", "send dead"), strict=True):
        headers = dict(message.headers)
        assert headers["traceparent"].split(b"-")[2].decode() == collector.named(name).span_id
        assert headers["content-type"].startswith(b"application/cloudevents+json")
    assert SECRET.encode() not in collector.raw


@pytest.fixture
def broker() -> Iterator[str]:
    """A broker with one partition per hub."""
    with run_broker(("events", "scores", "dead"), 1) as address:
        yield address


async def test_a_stream_worker_exports_before_it_ends(
    collector: Collector, broker: str, tmp_path: Path
) -> None:
    """The process, with traces turned on by its environment: headers of events are links, and
    SIGTERM exports what is left.
    """
    bundle = make_bundle(tmp_path / "bundle", reference=0)
    traced = (("traceparent", CALLER.encode()),)
    worker = WorkerProcess(broker, bundle, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    try:
        await produce(broker, "events", [("k", event("a", EXAMPLE), traced)])
        await worker.wait_until_ready()
        await worker.wait_until(lambda: worker.metric("trilane_records_total", "scored") == 1)
        assert await worker.exit_code(signal.SIGTERM) == 0
    finally:
        worker.process.kill()
        worker.process.wait()
    batch = collector.named("process events")
    assert (batch.service, batch.links) == ("trilane-stream", [(TRACE, PARENT)])
    assert collector.named("send scores").trace_id == batch.trace_id


def test_the_environment_names_the_service(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the specification says; the app's name is only for when it does not."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "attrition")
    tracing = open_tracing("online")
    with tracing.span("score"):
        pass
    tracing.close()
    assert collector.named("score").service == "attrition"


def test_a_span_that_the_sampler_leaves_out_still_carries_on(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its id is in the log lines and in what is sent, but nothing is exported."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    tracing = open_tracing("online")
    with tracing.server_span("POST", {b"traceparent": CALLER.encode()}) as span:
        with tracing.send_span("scores", 1) as sent:
            assert sent.headers[0][1].endswith(b"-00")
        span.answered("/predict", 200, THREE)
    tracing.close()
    assert span.trace_id == TRACE
    assert collector.calls == 0


def test_spans_leave_by_themselves(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches, from a thread, while the process works."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    tracing = open_tracing("online")
    with tracing.span("score"):
        pass
    collector.wait(lambda c: c.spans)
    tracing.close()


def test_a_collector_that_refuses_is_one_warning(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However often it fails; and again when it fails after it had worked."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    tracing = open_tracing("online")
    for status in (400, 200, 400):
        collector.status = status
        for _ in range(3):
            calls = collector.calls
            with tracing.span("score"):
                pass
            collector.wait(lambda c, calls=calls: c.calls > calls)  # type: ignore[misc]
    tracing.close()
    assert [(r.levelname, r.message) for r in caplog.records] == [
        ("WARNING", "traces cannot be exported"),
        ("WARNING", "traces cannot be exported"),
    ]


def test_a_collector_that_is_not_there_reaches_no_request(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests go on; the end is bounded although there is nobody to export to."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
        monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
        tracing = open_tracing("online")
        for _ in range(100):
            with tracing.server_span("POST", {}) as span:
                span.answered("/predict", 200)
        tracing.close(0.2)
    assert {r.levelname for r in caplog.records} <= {"WARNING"}
    assert len(caplog.records) <= 2  # that they cannot be exported, that the last ones were not


def test_the_end_does_not_wait_for_a_collector_that_hangs(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is not exported in time is lost, with a warning."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    tracing = open_tracing("online")
    collector.held.set()
    with tracing.span("score"):
        pass
    collector.wait(lambda c: c.calls)
    closed = threading.Event()

    def close() -> None:
        tracing.close(0.1)
        closed.set()

    threading.Thread(target=close).start()
    assert closed.wait(30)
    assert collector.spans == []
    collector.held.clear()
    assert [r.message for r in caplog.records] == ["the last traces were not exported"]
