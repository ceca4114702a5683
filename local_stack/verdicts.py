"""What monitoring said, read from the drift tables as an analyst would."""

from datetime import datetime
from pathlib import Path

from adapters.storage import open_storage
from local_stack.summary import Verdict
from monitoring.tables import read_metrics, read_reports
from scoring.errors import TerminalError
from scoring.manifest import Manifest


def verdict_of(storage: Path, manifest: Manifest, window: datetime, name: str) -> Verdict:
    """The verdict over all lanes for the window that starts at `window`.

    Raises TerminalError when monitoring emitted none.
    """
    root = open_storage(str(storage))
    reports = [
        row
        for row in read_reports(root, manifest.name, manifest.version)
        if row.window_start == window
    ]
    if len(reports) != 1:
        raise TerminalError(f"monitoring emitted {len(reports)} reports for the {name} window")
    (report,) = reports
    features = {
        row.feature
        for row in read_metrics(root, manifest.name, manifest.version)
        if row.window_start == window and row.role == "feature" and row.status == "drift"
    }
    return Verdict(
        name=name,
        window=f"{window:%Y-%m-%d %H:%M} UTC",
        rows=report.row_count,
        status=report.status,
        features=tuple(sorted(features)),
        prediction_drift=bool(report.prediction_drift),
        report=report.report_uri or "",
    )
