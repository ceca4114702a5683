"""Wiring of the stream worker: FastStream's app around the handler."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from faststream import FastStream

from adapters.event_hub import EventHubWriter, translated
from adapters.event_subscriber import EventBatch, batch_subscriber, event_broker
from adapters.parquet_log import ParquetInferenceLog
from adapters.probes import ProbeServer
from adapters.storage import open_storage
from adapters.telemetry import LaneMetrics
from adapters.tracing import NO_TRACING, Tracing, open_tracing
from scoring.inference_log import InferenceLog
from scoring.model import ModelBundle
from scoring.model_document import model_document, model_identity
from stream_worker.handler import Handler
from stream_worker.settings import StreamSettings
from stream_worker.worker import Retries, Worker

logger = logging.getLogger(__name__)

GRACEFUL_SECONDS = 45.0
"""How long the batch in hand may take after SIGTERM; below the pod's grace period of 60 s."""


def create_app(
    settings: StreamSettings,
    model: ModelBundle,
    log: InferenceLog,
    metrics: LaneMetrics,
    clock: Callable[[], datetime],
    tracing: Tracing = NO_TRACING,
) -> tuple[FastStream, Worker]:
    """The app and its worker; connects to nothing before `app.run()`, which handles SIGTERM and
    SIGINT by finishing and committing the batch in hand.
    """
    connection = settings.connection()
    writer = EventHubWriter(connection, (settings.scores_hub, settings.dead_letters_hub))
    handler = Handler(
        model,
        writer,
        log,
        settings.scores_hub,
        settings.dead_letters_hub,
        settings.max_event_bytes,
        settings.reasons,
        tracing,
    )
    retries = Retries(settings.delivery_attempts)
    worker = Worker(handler, metrics, retries, clock, stop=lambda: app.exit())
    broker = event_broker(connection, GRACEFUL_SECONDS)
    events = batch_subscriber(
        broker,
        connection,
        settings.events_hub,
        settings.consumer_group,
        settings.max_records,
        worker.fail,
    )

    @events
    async def score_events(batch: EventBatch) -> None:
        headers = (event.headers for event in batch.events)
        with tracing.process_span(settings.events_hub, settings.consumer_group, headers) as span:
            await worker.take(batch.events, batch.commit, span)
        metrics.lag(await batch.lag())

    app = FastStream(
        broker,
        logger=logger,
        on_startup=[writer.connect],
        after_startup=[worker.started],
        on_shutdown=[worker.drain],
        after_shutdown=[writer.close],
    )
    return app, worker


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
    app, worker = create_app(settings, model, log, metrics, lambda: datetime.now(UTC), tracing)
    probes = ProbeServer(
        settings.probe_host,
        settings.probe_port,
        worker.ready,
        worker.alive,
        metrics.render,
        model_document(model, threads=1),
    )
    probes.start()

    async def say_ready() -> None:
        logger.info(
            "ready",
            extra={
                "hub": settings.events_hub,
                "model": model.version.name,
                "version": model.version.version,
                "probe_port": probes.port,
            },
        )

    app.after_startup(say_ready)
    try:
        with translated(settings.bootstrap_servers):
            await app.run(log_level=logging.DEBUG)
    except BaseException:
        await app.stop()  # FastStream does not when starting failed
        raise
    finally:
        probes.stop()
        tracing.close()
    if worker.failure is not None:
        raise worker.failure
    logger.info("stopped")
