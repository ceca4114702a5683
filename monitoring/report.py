"""A window's verdicts as one HTML page that needs no network."""

import os
from collections.abc import Sequence

from monitoring.tables import MetricRow, ReportRow

_ORDER = {"drift": 0, "error": 1, "insufficient_data": 2, "ok": 3}
_HEADER = ["Column", "Check", "Verdict", "Effect", "Limit", "Adjusted p", "Missing", "Finding"]


def render_report(report: ReportRow, metrics: Sequence[MetricRow]) -> bytes:
    """An Evidently report with one pass or fail test per verdict; UTF-8, about 4 MB.

    The first call of a process imports Evidently: about 10 s and 290 MB. Its usage reports are
    switched off for this process.
    """
    os.environ["DO_NOT_TRACK"] = "1"
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report

    from monitoring.evidently_metrics import SummaryMetric, VerdictMetric, VerdictTest

    model = f"{report.model_name} version {report.model_version}"
    title = f"{model}, hour from {report.window_start:%Y-%m-%d %H:%M} UTC"
    ordered = sorted(metrics, key=lambda row: _ORDER[row.status])
    summary = SummaryMetric(
        title=title,
        drifted=report.features_drifted,
        counters=_counters(report),
        header=_HEADER,
        rows=[_table_row(row) for row in ordered],
        tests=[],
    )
    verdicts = [
        VerdictMetric(
            name=_name(row),
            score=0.0 if row.score is None else row.score,
            tests=[VerdictTest(name=_name(row), details=row.details, verdict=row.status)],
        )
        for row in ordered
    ]
    unused = Dataset.from_pandas(
        pd.DataFrame({"unused": [0.0]}), DataDefinition(numerical_columns=["unused"])
    )
    snapshot = Report([summary, *verdicts]).run(unused, timestamp=report.time_generated)
    return str(snapshot.get_html_str(as_iframe=False)).encode()


def _counters(report: ReportRow) -> dict[str, str]:
    prediction = {None: "not tested", True: "drift", False: "ok"}[report.prediction_drift]
    return {
        "verdict": report.status,
        "records": str(report.row_count),
        "rejected": str(report.rejected_rows),
        "features tested": str(report.features_tested),
        "features drifted": str(report.features_drifted),
        "prediction": prediction,
        "policy": report.policy_version,
    }


def _name(row: MetricRow) -> str:
    column = row.feature if row.role == "feature" else f"{row.role} {row.feature}"
    return f"{column} ({row.method})"


def _table_row(row: MetricRow) -> list[str]:
    return [
        row.feature,
        row.method,
        row.status,
        "" if row.score is None else f"{row.score:.3g}",
        f"{row.threshold:g}",
        "" if row.p_value_adj is None else f"{row.p_value_adj:.2g}",
        "" if row.missing_share is None else f"{row.missing_share:.1%}",
        row.details,
    ]
