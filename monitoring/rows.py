"""Verdicts as rows of the drift tables, under ids that a repeated run gives again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from monitoring.drift import Summary, Verdict
from monitoring.entries import LaneProfile
from monitoring.reference import Reference
from monitoring.tables import MetricRow, ReportRow
from monitoring.windows import Window
from scoring.identifiers import derived_id

REVISION = 0
SEGMENT = "all"


@dataclass(frozen=True, slots=True)
class Run:
    """What the rows of one run over one window have in common."""

    reference: Reference
    window: Window
    policy_version: str
    code_version: str
    generated: datetime

    @property
    def run_id(self) -> str:
        """The same whenever this window is compared with this reference."""
        return self.row_id()

    def row_id(self, *parts: str) -> str:
        """An id of model, version, digest, reference, window and `parts`."""
        model = self.reference.model
        return derived_id(
            model.name,
            model.version,
            model.digest,
            self.reference.reference_id,
            self.window.name,
            *parts,
        )


def metric_rows(run: Run, lane: str, verdicts: Sequence[Verdict]) -> list[MetricRow]:
    """One row per verdict, in order."""
    return [_metric_row(run, lane, verdict) for verdict in verdicts]


def report_row(run: Run, lane: str, entries: LaneProfile, summary: Summary) -> ReportRow:
    """The summary of a lane's verdicts, without a report page and with no duration yet."""
    tested, drifted = len(summary.tested), len(summary.drifted)
    return ReportRow(
        time_generated=run.generated,
        window_start=run.window.start,
        window_end=run.window.end,
        row_id=run.row_id(lane),
        run_id=run.run_id,
        model_name=run.reference.model.name,
        model_version=run.reference.model.version,
        reference_id=run.reference.reference_id,
        lane=lane,
        segment=SEGMENT,
        revision=REVISION,
        row_count=entries.scored + entries.rejected,
        late_rows=0,
        rejected_rows=entries.rejected,
        duration_ms=0,
        features_tested=tested,
        features_drifted=drifted,
        drifted_share=drifted / tested if tested else None,
        prediction_drift=summary.output_drift,
        status=summary.status,
        policy_version=run.policy_version,
        report_uri=None,
        code_version=run.code_version,
    )


def _metric_row(run: Run, lane: str, verdict: Verdict) -> MetricRow:
    check = verdict.check
    column, shares = check.column, check.shares
    return MetricRow(
        time_generated=run.generated,
        window_start=run.window.start,
        window_end=run.window.end,
        row_id=run.row_id(lane, column.role, column.name, check.method),
        run_id=run.run_id,
        model_name=run.reference.model.name,
        model_version=run.reference.model.version,
        reference_id=run.reference.reference_id,
        lane=lane,
        segment=SEGMENT,
        feature=column.name,
        feature_type=column.type,
        role=column.role,
        method=check.method,
        status=verdict.status,
        revision=REVISION,
        score=check.effect,
        p_value=check.p_value,
        p_value_adj=verdict.p_value_adjusted,
        threshold=check.threshold,
        missing_share=shares.missing,
        missing_share_ref=shares.missing_reference,
        new_category_share=shares.new_category,
        out_of_range_share=shares.out_of_range,
        current_count=shares.current_count,
        reference_count=shares.reference_count,
        details=verdict.details,
    )
