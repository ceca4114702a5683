"""Pieces on a Spark cluster: each is a row, and `mapInArrow` runs on it what threads run here.

Executors read the input and write parts, ledger and log through the storage door themselves, so a
run has the same bytes whichever engine did which piece. What Spark does twice (speculation, a lost
executor) is written twice under the same name with the same content.

Executors need trilane and the bundle at the same path; on Databricks a wheel and a volume.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pydantic import SecretStr

from batch_scorer.assembly import open_output, opened_runner
from batch_scorer.inputs.opening import open_input, split_token
from batch_scorer.ledger import Ledger, PieceReport, UnitReport
from batch_scorer.pieces import PieceRunner
from batch_scorer.plan import Piece, Plan, PlannedFile, read_plan
from batch_scorer.progress import Progress
from batch_scorer.settings import BatchSettings
from scoring.bundles import champion_path
from scoring.errors import ConfigurationError, TerminalError, TransientError, TrilaneError
from scoring.model import ModelBundle
from scoring.model_loader import load_model

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MOST_TASKS: Final = 10_000
LOOK_SECONDS: Final = 5.0
"""How often the ledger is asked what executors have done."""

_RESULT: Final = pa.schema([pa.field("transient", pa.bool_()), pa.field("error", pa.string())])
_RESULT_DDL: Final = "transient boolean, error string"


class SparkEngine:
    """Scores pieces in the tasks of one Spark job."""

    def __init__(self, settings: BatchSettings, plan: Plan, stopping: Callable[[], bool]) -> None:
        self._settings = settings
        self._plan = plan
        self._stopping = stopping

    def run(self, pieces: Sequence[tuple[PlannedFile, Piece]], progress: Progress) -> None:
        """See `Engine`. Units are not told of. A piece that failed ends none of the others."""
        session = _session(self._plan.run_id)
        places = [(file.index, piece.index) for file, piece in pieces]
        task = _Task(without_secrets(self._settings), self._plan.run_id, places)
        tasks = min(len(pieces), MOST_TASKS)
        frame = session.range(0, len(pieces), 1, tasks).mapInArrow(task, _RESULT_DDL)
        with self._watched(session, pieces, progress), self._translated():
            results = frame.collect()
        failed = [row for row in results if row.error is not None]
        for row in sorted(failed, key=lambda row: bool(row.transient)):
            raise (TransientError if row.transient else TerminalError)(row.error)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """What pieces raise comes as rows; this is a job that was cancelled, or a cluster that
        failed.
        """
        try:
            yield
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("pyspark", "py4j"):
                raise
            if self._stopping():
                run_id = self._plan.run_id
                raise TransientError(f"stopped; --run-id {run_id} completes the run") from error
            name = type(error).__name__
            raise TransientError(f"the Spark job failed ({name}); Spark's log says why") from error

    @contextmanager
    def _watched(
        self,
        session: "SparkSession",
        pieces: Sequence[tuple[PlannedFile, Piece]],
        progress: Progress,
    ) -> Iterator[None]:
        """Tells of pieces as the ledger gets them, and cancels the job when the run is stopped."""
        ledger = Ledger(open_output(self._settings), self._plan.run_id)
        files = {file.index: file for file, _ in pieces}
        known = {p for p, r in ledger.pieces(files.values()).items() if r.error is None}
        over = threading.Event()

        def look() -> None:
            for place, report in sorted(ledger.pieces(files.values(), known).items()):
                known.add(place)
                progress.piece(files[place[0]], report)

        def watch() -> None:
            while not over.wait(LOOK_SECONDS):
                if self._stopping():
                    session.interruptAll()
                    return
                try:
                    look()
                except TransientError:
                    continue

        watcher = threading.Thread(target=watch, name="spark-progress")
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
        look()


class _Task:
    """What `mapInArrow` calls; travels to the executors, which read the plan from the output."""

    def __init__(
        self, settings: dict[str, Any], run_id: str, places: Sequence[tuple[int, int]]
    ) -> None:
        self._settings = settings
        self._run_id = run_id
        self._places = places

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Score the pieces whose places arrive; a row of `_RESULT` for each."""
        settings = BatchSettings(**self._settings)
        plan = read_plan(open_output(settings), self._run_id)
        if plan is None:
            raise TerminalError(f"the plan of run {self._run_id} is gone")
        secret, retry_seconds = settings.connection_string(), settings.retry_seconds
        source, _ = open_input(settings.input, secret, retry_seconds)
        runner = opened_runner(
            settings,
            plan,
            _model(settings.bundle),
            source,
            lambda: datetime.now(UTC),
            lambda: None,  # the driver holds the lease
            lambda: False,
        )
        pieces = {(file.index, piece.index): (file, piece) for file, piece in plan.pieces()}
        with runner as scoring:
            for batch in batches:
                wanted = [pieces[self._places[number]] for number in batch[0].to_pylist()]
                results = [self._scored(scoring, *piece) for piece in wanted]
                yield pa.RecordBatch.from_pylist(results, schema=_RESULT)

    def _scored(self, runner: PieceRunner, file: PlannedFile, piece: Piece) -> dict[str, Any]:
        try:
            runner.run(file, piece, _Silence())
        except TrilaneError as error:
            return {"transient": isinstance(error, TransientError), "error": str(error)}
        return {"transient": None, "error": None}


class _Silence:
    """A `Progress` that nobody sees: the driver tells of what the ledger gets."""

    def resumed(self, file: PlannedFile, report: UnitReport | PieceReport) -> None:
        """See `Progress`."""

    def unit(self, file: PlannedFile, report: UnitReport, share: float | None = None) -> None:
        """See `Progress`."""

    def piece(self, file: PlannedFile, report: PieceReport) -> None:
        """See `Progress`."""


@cache
def _model(bundle: Path) -> ModelBundle:
    """Loaded once per Python process of an executor."""
    return load_model(champion_path(bundle), datetime.now(UTC))


def without_secrets(settings: BatchSettings) -> dict[str, Any]:
    """What of the settings travels to executors, which take secrets from their own environment:
    Spark may write what it sends to disk.

    Those on this machine have the driver's environment, into which secrets are put in case they
    came as flags. Raises ConfigurationError for a URL with a token.
    """
    for url in (settings.input, settings.output, settings.storage_url):
        if split_token(url)[1]:
            raise ConfigurationError(
                "--engine spark takes no URL with a SAS token: set "
                "TRILANE_STORAGE_CONNECTION_STRING for the driver and its executors"
            )
    plain: dict[str, Any] = {}
    for name, value in settings:
        if isinstance(value, SecretStr):
            os.environ[f"TRILANE_{name.upper()}"] = value.get_secret_value()
        elif value is not None:
            plain[name] = value
    return plain


def _session(run_id: str) -> "SparkSession":
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise ConfigurationError("--engine spark needs the extra 'spark'") from error
    return SparkSession.builder.appName(f"trilane batch {run_id}").getOrCreate()
