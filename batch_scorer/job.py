"""What `trilane batch` does: plan a run or find it begun, do this process's share, end it."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC

from adapters.storage import Lease, Storage
from batch_scorer.accounts import missing
from batch_scorer.assembly import encoder_of, open_output, opened_runner
from batch_scorer.finish import finish_run, settle
from batch_scorer.inputs import chosen_files
from batch_scorer.ledger import Ledger, PieceReport
from batch_scorer.local_engine import LocalEngine
from batch_scorer.outcome import Outcome
from batch_scorer.pieces import Engine
from batch_scorer.plan import WORK, Piece, Plan, PlannedFile, agreed_plan
from batch_scorer.progress import show_progress
from batch_scorer.proposal import check_apart, proposed_plan
from batch_scorer.report import previous_run
from batch_scorer.run_manifest import (
    RUN_MANIFEST,
    RunManifest,
    read_run_manifest,
    run_directory,
)
from batch_scorer.settings import BatchSettings
from batch_scorer.summary import summarize
from batch_scorer.unit import Clock
from scoring.bundles import champion_path
from scoring.model import ModelBundle
from scoring.model_document import model_identity
from scoring.model_loader import load_model

_log = logging.getLogger(__name__)


def run_job(settings: BatchSettings, clock: Clock) -> Outcome:
    """Do one run or this shard's share of it, or find it complete.

    Blocks until that is done. SIGTERM ends it after the units in hand with TransientError, and the
    run stays unfinished. Raises TrilaneError.
    """
    started = clock().astimezone(UTC)
    run_id = settings.run_id or f"{started:%Y-%m-%d}"
    output = open_output(settings)
    standing = read_run_manifest(output, run_id)
    if standing is not None and standing.outcome == "complete":
        settle(settings, output, standing)
        text = summarize(standing, output, previous_run(output, standing))
        return Outcome(f"run {run_id} is complete already; nothing was scored\n{text}")
    model = load_model(champion_path(settings.bundle), started, available_threads(settings))
    source, files = chosen_files(settings, model.schema, output, run_id)
    check_apart(source, output)
    wanted = proposed_plan(settings, run_id, source, files, model, started)
    work = f"{run_directory(run_id)}/{WORK}"
    with _held(output, f"{work}/shard-{settings.shard:05d}", settings) as lease:
        if settings.restart:
            _begin_anew(output, run_id)
        plan = agreed_plan(output, wanted)
        return _Attempt(settings, plan, model, source, output, clock).run(lease.check)


class _Attempt:
    """This process's share of a run."""

    def __init__(
        self,
        settings: BatchSettings,
        plan: Plan,
        model: ModelBundle,
        source: Storage,
        output: Storage,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._model = model
        self._source = source
        self._output = output
        self._clock = clock
        self._ledger = Ledger(output, plan.run_id)

    def run(self, still_ours: Callable[[], None]) -> Outcome:
        """Score what nobody has, then finish the run if nothing is missing."""
        settings, plan = self._settings, self._plan
        recorded = self._ledger.pieces(plan.files)
        mine = list(plan.pieces(settings.shard, settings.shards))
        wanted = [(file, piece) for file, piece in mine if _unfinished(recorded, file, piece)]
        _log.info("run started", extra=self._figures(len(mine), len(wanted)))
        if wanted:
            with (
                _noticing_sigterm() as stopping,
                show_progress(mine, recorded) as progress,
            ):
                engine = self._engine(still_ours, stopping)
                engine.run(wanted, progress)
        left = missing(plan, self._ledger.pieces(plan.files))
        if left:
            share = f"shard {settings.shard} of {settings.shards} is done"
            return Outcome(f"{share}; {left:,} pieces of other shards are still to come")
        with _held(self._output, f"{run_directory(plan.run_id)}/{WORK}/finish", settings):
            manifest, previous = self._finished()
        if manifest.outcome == "complete":
            settle(settings, self._output, manifest)
        return Outcome(summarize(manifest, self._output, previous), manifest.failure)

    def _engine(self, still_ours: Callable[[], None], stopping: Callable[[], bool]) -> Engine:
        if self._settings.engine == "spark":
            from batch_scorer.spark_engine import SparkEngine

            return SparkEngine(self._settings, self._plan, stopping)
        return LocalEngine(
            lambda: opened_runner(
                self._settings,
                self._plan,
                self._model,
                self._source,
                self._clock,
                still_ours,
                stopping,
            ),
            available_threads(self._settings),
        )

    def _finished(self) -> tuple[RunManifest, RunManifest | None]:
        """The manifest, which another shard may have written meanwhile, and the previous run's."""
        settings, plan, output = self._settings, self._plan, self._output
        standing = read_run_manifest(output, plan.run_id)
        if standing is not None and standing.outcome == "complete":
            return standing, previous_run(output, standing)
        recorded = self._ledger.pieces(plan.files)
        encoder = encoder_of(plan, self._model)
        return finish_run(settings, output, plan, recorded, encoder, self._clock)

    def _figures(self, pieces: int, wanted: int) -> dict[str, object]:
        plan, files = self._plan, self._plan.files
        return {
            "run_id": plan.run_id,
            **model_identity(self._model),
            "files": len(files),
            "bytes": sum(file.size for file in files),
            "pieces": pieces,
            "pieces_to_do": wanted,
            "shard": self._settings.shard,
            "shards": self._settings.shards,
            "threads": available_threads(self._settings),
            "engine": self._settings.engine,
            "reasons": plan.shape.reasons,
            "logged_by": "reference" if plan.by_reference else "rows",
        }


def _unfinished(
    recorded: Mapping[tuple[int, int], PieceReport], file: PlannedFile, piece: Piece
) -> bool:
    report = recorded.get((file.index, piece.index))
    return report is None or report.error is not None


def _held(output: Storage, path: str, settings: BatchSettings) -> Lease:
    """A lease that is held: after the death of its holder a blob's takes a minute to end."""
    lease = output.lease(path)
    lease.acquire(settings.lease_wait_seconds)
    return lease


def _begin_anew(output: Storage, run_id: str) -> None:
    """Drop what was done; parts are written again under their names, or dropped at the end."""
    output.delete(f"{run_directory(run_id)}/{RUN_MANIFEST}")
    Ledger(output, run_id).drop()


def available_threads(settings: BatchSettings) -> int:
    """Threads that score: as the settings say, or CPUs that this process may use."""
    if settings.threads is not None:
        return settings.threads
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _noticing_sigterm() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM has come. The handler only takes a note: an exception from within could
    surface inside a library that swallows it, or does not survive it.
    """
    noticed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield noticed.is_set
        return
    before = signal.signal(signal.SIGTERM, lambda *_: noticed.set())
    try:
        yield noticed.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
