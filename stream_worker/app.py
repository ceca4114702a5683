"""Wiring of the stream worker, and its life."""

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from adapters.event_hub.opening import open_source, open_writer
from adapters.event_hub.ports import EventSource, EventWriter
from adapters.event_hub.retries import Retries
from adapters.parquet_log import ParquetInferenceLog
from adapters.probes import ProbeServer
from adapters.storage import open_storage
from adapters.telemetry import LaneMetrics
from adapters.tracing import NO_TRACING, Tracing, open_tracing
from scoring.inference_log import InferenceLog
from scoring.model import ModelBundle
from scoring.model_document import model_identity
from stream_worker.handler import Handler
from stream_worker.limits import RejectionLimit
from stream_worker.pages import pages
from stream_worker.pipeline import Pipeline
from stream_worker.settings import StreamSettings
from stream_worker.watch import Watch

logger = logging.getLogger(__name__)

GRACEFUL_SECONDS: Final = 45.0
"""How long what was begun may take after SIGTERM; below the pod's grace period of 60 s."""

_GC_THRESHOLD: Final = (200_000, 20, 20)


@dataclass(frozen=True, slots=True)
class App:
    """The parts of a worker. Nothing is connected before `run`."""

    source: EventSource
    writer: EventWriter
    pipeline: Pipeline
    watch: Watch
    stopping: asyncio.Event

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Take events until `stopping` is set; then finish and commit what was begun, and leave.

        `ready` is called once the group has the worker. Raises BrokerUnavailable when the hub
        cannot be reached, and whatever made the pipeline fail.
        """
        watching: asyncio.Task[None] | None = None
        try:
            async with self.writer:
                try:
                    await self.source.start(self.pipeline)
                    watching = asyncio.create_task(self.watch.run())
                    ready()
                    await self.stopping.wait()
                finally:
                    self.watch.draining = True
                    self.pipeline.release_seconds = GRACEFUL_SECONDS
                    await self.source.stop()
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.wait({watching})
        if self.pipeline.failure is not None:
            raise self.pipeline.failure


def create_app(
    settings: StreamSettings,
    model: ModelBundle,
    log: InferenceLog,
    metrics: LaneMetrics,
    clock: Callable[[], datetime],
    tracing: Tracing = NO_TRACING,
) -> App:
    """A worker as the settings describe it. Raises ConfigurationError."""
    connection = settings.connection()
    hubs = settings.scores_hub, settings.dead_letters_hub
    source = open_source(
        connection, settings.events_hub, settings.consumer_group, settings.max_records
    )
    writer = open_writer(connection, hubs)
    stopping = asyncio.Event()
    pipeline = Pipeline(
        Handler(model, *hubs, settings.max_event_bytes, settings.reasons),
        source,
        writer,
        log,
        metrics,
        RejectionLimit(settings.max_rejected_share, settings.max_rejected_run),
        Retries(settings.retry_seconds),
        settings.max_records,
        settings.max_in_flight,
        settings.consumer_group,
        clock,
        stopping.set,
        tracing,
    )
    watch = Watch(pipeline, source, metrics, settings.stall_seconds)
    return App(source, writer, pipeline, watch, stopping)


async def serve(settings: StreamSettings, model: ModelBundle) -> None:
    """Score events until SIGTERM or SIGINT.

    Raises ConfigurationError when traces cannot be had as the environment asks for them,
    BrokerUnavailable when the hub cannot be reached, and whatever made the worker fail.
    """
    identity = {"event": "model", **model_identity(model), "reasons": settings.reasons}
    logger.info(
        "starting with %s version %s", identity["model"], identity["version"], extra=identity
    )
    metrics = LaneMetrics("stream", model.version.name, model.version.version)
    storage = open_storage(settings.storage_url, settings.connection_string())
    log = ParquetInferenceLog(storage, model)
    tracing = open_tracing("trilane-stream")
    app = create_app(settings, model, log, metrics, lambda: datetime.now(UTC), tracing)
    probes = ProbeServer(
        settings.probe_host,
        settings.probe_port,
        app.watch.ready,
        app.watch.alive,
        metrics.render,
        pages(settings, settings.connection(), model),
    )
    said = {
        "hub": settings.events_hub,
        "model": model.version.name,
        "version": model.version.version,
    }
    _collect_seldom()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, app.stopping.set)
    with contextlib.ExitStack() as stack:
        stack.callback(tracing.close)
        probes.start()
        stack.callback(probes.stop)
        await app.run(lambda: logger.info("ready", extra={**said, "probe_port": probes.port}))
    logger.info("stopped")


def _collect_seldom() -> None:
    """Events in hand are many objects without cycles: to look through them for some took a sixth of
    the worker's time.
    """
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLD)
