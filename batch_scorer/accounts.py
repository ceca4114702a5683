"""The account of a run: its manifest, from what is recorded of its pieces."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from batch_scorer.delivery.parts import PartEncoder, rejected_path, scores_path
from batch_scorer.distribution import Distribution, merged
from batch_scorer.ledger import PieceReport
from batch_scorer.plan import Plan, PlannedFile
from batch_scorer.run_manifest import Counts, InputReport, RunManifest

Pieces = Mapping[tuple[int, int], PieceReport]


def missing(plan: Plan, recorded: Pieces) -> int:
    """How many pieces nobody has recorded yet."""
    return sum((file.index, piece.index) not in recorded for file, piece in plan.pieces())


def manifest_of(
    plan: Plan, recorded: Pieces, max_rejected_share: float, finished: datetime
) -> RunManifest:
    """The manifest of a run whose pieces are all recorded."""
    inputs = [_input(file, recorded) for file in plan.files]
    totals, codes = Counts(), Counter[str]()
    distribution: dict[str, Distribution] = {}
    for file in plan.files:
        for report in _reports(file, recorded):
            totals += report.counts
            codes.update(report.codes)
            distribution = merged(distribution, report.distribution)
    started = datetime.fromisoformat(plan.started_at)
    failure = _failure(inputs, totals, max_rejected_share)
    return RunManifest(
        format=2,
        run_id=plan.run_id,
        input=plan.input,
        outcome="complete" if failure is None else "failed",
        failure=failure,
        model=plan.model,
        record_id_column=plan.shape.record_id_column,
        chunk_records=plan.shape.chunk_records,
        reasons=plan.shape.reasons,
        event_time=plan.event_time,
        started_at=plan.started_at,
        finished_at=finished.astimezone(UTC).isoformat(),
        seconds=max(0.0, round((finished - started).total_seconds(), 3)),
        totals=totals,
        rejections=dict(sorted(codes.items(), key=lambda item: (-item[1], item[0]))),
        bins=plan.bins,
        distribution=distribution,
        inputs=inputs,
    )


def expected_parts(plan: Plan, recorded: Pieces, encoder: PartEncoder) -> set[str]:
    """The paths of all part files that are of this run."""
    kind, paths = encoder.output_format, set[str]()
    for file, piece in plan.pieces():
        report, place = recorded[file.index, piece.index], (plan.run_id, file.index)
        paths.update(scores_path(*place, unit, kind) for unit in report.scored_units)
        paths.update(rejected_path(*place, unit, kind) for unit in report.rejected_units)
    return paths


def _reports(file: PlannedFile, recorded: Pieces) -> list[PieceReport]:
    return [recorded[file.index, piece.index] for piece in file.pieces]


def _input(file: PlannedFile, recorded: Pieces) -> InputReport:
    reports = _reports(file, recorded)
    counts = sum((r.counts for r in reports), Counts())
    errors = [r.error for r in reports if r.error is not None]
    return InputReport(
        file=file.file,
        url=file.url,
        size=file.size,
        etag=file.etag,
        received=counts.received,
        scored=counts.scored,
        rejected=counts.rejected,
        seconds=round(sum(r.seconds for r in reports), 3),
        error=file.error if file.error is not None else next(iter(errors), None),
    )


def _failure(inputs: Sequence[InputReport], totals: Counts, max_share: float) -> str | None:
    """What the operator has to know, or None."""
    failed = [report for report in inputs if report.error is not None]
    said = []
    if failed:
        named = ", ".join(report.file for report in failed[:3])
        more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
        said.append(f"{len(failed)} of {len(inputs)} files could not be read: {named}{more}")
    # A quotient and not a product: 0.29 x 100 is less than 29.
    if totals.rejected and totals.rejected / totals.received > max_share:
        said.append(
            f"{totals.rejected:,} of {totals.received:,} records were rejected, more than the share"
            f" of {max_share:g} that --max-rejected-share allows"
        )
    return "; ".join(said) or None
