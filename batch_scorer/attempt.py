"""One process's share of a run, and the end of the run for whoever finds all of it done."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence

from adapters.storage import Storage
from batch_scorer.accounts import missing
from batch_scorer.agreement import held
from batch_scorer.assembly import encoder_of, opened_runner
from batch_scorer.finish import finish_run, found_complete, settle
from batch_scorer.ledger import Ledger, PieceReport
from batch_scorer.local_engine import LocalEngine
from batch_scorer.outcome import Outcome
from batch_scorer.pieces import Engine
from batch_scorer.plan import WORK, Piece, Plan, PlannedFile, read_plan
from batch_scorer.progress import show_progress
from batch_scorer.report import previous_run
from batch_scorer.run_manifest import RunManifest, read_run_manifest, run_directory
from batch_scorer.settings import BatchSettings
from batch_scorer.summary import summarize
from batch_scorer.unit import Clock
from scoring.errors import TransientError
from scoring.model import ModelBundle
from scoring.model_document import model_identity

_log = logging.getLogger(__name__)


class Attempt:
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

    def run(self, still_ours: Callable[[], None], stopping: Callable[[], bool]) -> Outcome:
        """Score what nobody has, then finish the run if nothing is missing."""
        settings, plan = self._settings, self._plan
        recorded = self._ledger.pieces(plan.files)
        mine = list(plan.pieces(settings.shard, settings.shards))
        wanted = [(file, piece) for file, piece in mine if _unfinished(recorded, file, piece)]
        _log.info("run started", extra=self._figures(len(mine), len(wanted)))
        if wanted:
            with show_progress(mine, recorded) as progress:
                self._engine(still_ours, stopping).run(wanted, progress)
        recorded = self._ledger.pieces(plan.files)
        if left := missing(plan, recorded):
            return self._share_done(left, mine, recorded)
        with held(self._output, f"{run_directory(plan.run_id)}/{WORK}/finish", settings):
            manifest, previous = self._finished()
        if manifest.outcome == "complete":
            settle(settings, self._output, manifest)
        return Outcome(summarize(manifest, self._output, previous), manifest.failure)

    def _share_done(
        self,
        left: int,
        mine: Sequence[tuple[PlannedFile, Piece]],
        recorded: Mapping[tuple[int, int], PieceReport],
    ) -> Outcome:
        """What is said while others still work, or have ended the run at this moment."""
        settings, run_id = self._settings, self._plan.run_id
        if (ended := found_complete(settings, self._output, run_id)) is not None:
            return ended
        standing = read_plan(self._output, run_id)
        others_read_other_files = standing is None or standing.files != self._plan.files
        if others_read_other_files or any((f.index, p.index) not in recorded for f, p in mine):
            raise TransientError(
                f"the input changed while the shards of run {run_id} worked; run each of them again"
            )
        share = f"shard {settings.shard} of {settings.shards} is done"
        return Outcome(f"{share}; {left:,} pieces of other shards are still to come")

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


def available_threads(settings: BatchSettings) -> int:
    """Threads that score: as the settings say, or CPUs that this process may use."""
    if settings.threads is not None:
        return settings.threads
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
