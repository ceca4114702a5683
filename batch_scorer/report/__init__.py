"""What a run came to, as one page for people, compared with the run before."""

from batch_scorer.report.change import Change, changes
from batch_scorer.report.page import REPORT, render
from batch_scorer.report.previous import previous_run

__all__ = ["REPORT", "Change", "changes", "previous_run", "render"]
