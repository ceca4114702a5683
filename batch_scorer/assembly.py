"""The composition root of a process that scores pieces: this one, or a Spark executor's."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from adapters.parquet_log import ParquetInferenceLog
from adapters.storage import Storage, open_storage
from batch_scorer.delivery.parts import PartEncoder
from batch_scorer.ledger import Ledger, PieceReport
from batch_scorer.pieces import PieceReader, PieceRunner
from batch_scorer.plan import Piece, Plan, PlannedFile
from batch_scorer.settings import BatchSettings
from batch_scorer.unit import Clock, Outputs, Publisher, UnitScorer
from scoring.model import ModelBundle


def open_output(settings: BatchSettings) -> Storage:
    """Where runs are written."""
    return open_storage(settings.output, settings.connection_string(), settings.retry_seconds)


def encoder_of(plan: Plan, model: ModelBundle) -> PartEncoder:
    """What makes the part files of a run."""
    return PartEncoder(model, plan.shape.output_format, plan.shape.reasons > 0)


@contextmanager
def opened_runner(
    settings: BatchSettings,
    plan: Plan,
    model: ModelBundle,
    source: Storage,
    clock: Clock,
    still_ours: Callable[[], None],
    stopping: Callable[[], bool],
) -> Iterator[PieceRunner]:
    """A runner of pieces with everything it writes to.

    Raises BrokerUnavailable, ConfigurationError when scores are to be published and cannot be.
    """
    output = open_output(settings)
    ledger = Ledger(output, plan.run_id)
    store = open_storage(settings.storage_url, settings.connection_string(), settings.retry_seconds)
    with ExitStack() as stack:
        publisher: Publisher | None = None
        if plan.shape.published:
            from batch_scorer.publishing import open_publisher

            publisher = stack.enter_context(open_publisher(settings, plan, model))
        log = None if plan.by_reference else ParquetInferenceLog(store, model)
        outputs = Outputs(output, encoder_of(plan, model), ledger, log, publisher, still_ours)

        def logged(file: PlannedFile, piece: Piece, report: PieceReport) -> None:
            still_ours()
            if plan.by_reference:
                from adapters.log_references import write_reference
                from batch_scorer.log_reference import reference_to

                write_reference(store, reference_to(plan, output, file, piece, report, clock()))

        yield PieceRunner(
            PieceReader(plan, model.schema, source),
            UnitScorer(plan, model, outputs, clock),
            ledger,
            logged,
            stopping,
        )
