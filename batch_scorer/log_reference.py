"""A piece of a run as the inference log refers to it."""

from datetime import datetime

from adapters.log_references import LogReference, ReferencedInput, UnitParts
from adapters.record_files.chunks import Position
from adapters.storage import Storage
from batch_scorer.delivery.parts import rejected_path, scores_path
from batch_scorer.ledger import PieceReport
from batch_scorer.plan import Piece, Plan, PlannedFile


def reference_to(
    plan: Plan,
    output: Storage,
    file: PlannedFile,
    piece: Piece,
    report: PieceReport,
    scored_at: datetime,
) -> LogReference:
    """What the log keeps of a piece that was scored, as far as it could be read."""
    shape, model = plan.shape, plan.model
    scored, rejected = set(report.scored_units), set(report.rejected_units)

    def parts(unit: int) -> UnitParts:
        place = plan.run_id, file.index, unit, shape.output_format
        return UnitParts(
            scores_path(*place) if unit in scored else None,
            rejected_path(*place) if unit in rejected else None,
        )

    return LogReference(
        request_id=plan.run_id,
        file=file.file,
        piece=piece.index,
        model_name=model.name,
        model_version=model.version,
        model_digest=model.digest,
        event_time=datetime.fromisoformat(plan.event_time),
        started_at=datetime.fromisoformat(plan.started_at),
        scored_at=scored_at,
        input=ReferencedInput(
            storage=plan.input,
            path=file.path,
            size=file.size,
            etag=file.stored_etag,
            format=file.format,
            record_id_column=shape.record_id_column,
            chunk_records=shape.chunk_records,
            options=plan.read_options(file),
            start=Position(piece.first_row),
            groups=piece.groups,
        ),
        output=output.url,
        units=[parts(piece.first_unit + place) for place in range(report.units)],
        received=report.counts.received,
        scored=report.counts.scored,
        rejected=report.counts.rejected,
    )
