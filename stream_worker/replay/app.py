"""Wiring of a replay."""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from adapters.event_hub.opening import open_writer
from adapters.event_hub.reading import read_all
from adapters.parquet_log import ParquetInferenceLog
from adapters.storage import Storage, open_storage
from scoring.model import ModelBundle
from stream_worker.handler import Handler
from stream_worker.replay.lease import Lease
from stream_worker.replay.ledger import Ledger
from stream_worker.replay.lines import Lines
from stream_worker.replay.replaying import Ends, Replay
from stream_worker.replay.report import Report, Run
from stream_worker.replay.settings import ReplaySettings

_MAX_EVENT_BYTES: Final = 900_000


async def replay(settings: ReplaySettings, model: ModelBundle) -> str:
    """Replay once through; returns the summary. Raises TrilaneError."""
    now = _now()
    run = Run(
        id=f"{now:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}",
        started_at=now,
        model=model.version,
        dead_letters_hub=settings.dead_letters_hub,
        scores_hub=settings.scores_hub,
        filters=settings.filters(model.version.name),
        dry_run=settings.dry_run,
        again=settings.again,
    )
    storage = open_storage(settings.storage_url, settings.connection_string())
    report = Report()
    hubs = settings.scores_hub, settings.dead_letters_hub
    async with _ends(settings, run, model, storage) as (ledger, ends):
        replaying = Replay(
            run,
            Handler(model, *hubs, _MAX_EVENT_BYTES, settings.reasons),
            ledger,
            ends,
            report,
            Lines(storage, run),
            settings.max_records,
            _now,
            _show_progress,
        )
        async with aclosing(read_all(settings.connection(), settings.dead_letters_hub)) as events:
            await replaying.all(events)
        _end_progress()
        path = run.path("report.json")
        await asyncio.to_thread(storage.write, path, report.as_json(run, _now()))
    return report.summary(run, storage.url_of(path))


@asynccontextmanager
async def _ends(
    settings: ReplaySettings, run: Run, model: ModelBundle, storage: Storage
) -> AsyncIterator[tuple[Ledger, Ends | None]]:
    """What was replayed before, and where results go."""
    async with AsyncExitStack() as stack:
        if settings.dry_run:
            yield await asyncio.to_thread(Ledger, storage, run.id), None
            return
        await stack.enter_async_context(Lease(storage, run.id, _now))
        ledger = await asyncio.to_thread(Ledger, storage, run.id)
        writer = open_writer(settings.connection(), (settings.scores_hub,))
        await stack.enter_async_context(writer)
        yield ledger, Ends(writer, ParquetInferenceLog(storage, model), ledger)


def _now() -> datetime:
    return datetime.now(UTC)


def _show_progress(read: int, scored: int) -> None:
    if sys.stderr.isatty():
        text = f"\r{read:,} read, {scored:,} scored"
        print(text, end="", file=sys.stderr, flush=True)


def _end_progress() -> None:
    if sys.stderr.isatty():
        print(file=sys.stderr)
