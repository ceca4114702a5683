"""Evidently's building blocks for results that were computed elsewhere.

Importing this module imports Evidently (about 10 s and 290 MB): `monitoring.report` does it when a
report is rendered. The calculations ignore the dataset that Evidently passes them.
"""

from typing import Any

from evidently.core.metric_types import (
    MetricTest,
    MetricTestResult,
    SingleValue,
    SingleValueCalculation,
    SingleValueMetric,
)
from evidently.legacy.model.widget import BaseWidgetInfo
from evidently.legacy.renderers.html_widgets import CounterData, WidgetSize, counter, table_data
from evidently.legacy.tests.base_test import TestStatus

_OUTCOMES = {
    "ok": TestStatus.SUCCESS,
    "drift": TestStatus.FAIL,
    "insufficient_data": TestStatus.WARNING,
    "error": TestStatus.ERROR,
}


class VerdictTest(MetricTest):  # type: ignore[misc]  # Evidently is untyped here
    """Passes or fails as the verdict did."""

    name: str
    details: str
    verdict: str

    def to_test(self) -> Any:
        """Evidently's test function; it looks at nothing but the verdict."""

        def run(_context: Any, metric: Any, _value: Any) -> Any:
            return MetricTestResult(
                id="verdict",
                name=self.name,
                description=self.details,
                status=_OUTCOMES[self.verdict],
                metric_config=metric.to_metric_config(),
                test_config=self.dict(),
            )

        return run


class VerdictMetric(SingleValueMetric):  # type: ignore[misc]
    """One verdict's score; shown by its test and in the table of `SummaryMetric`."""

    name: str
    score: float


class VerdictCalculation(SingleValueCalculation[VerdictMetric]):  # type: ignore[misc]
    """Hands the score on."""

    def calculate(self, _context: Any, _current: Any, _reference: Any) -> SingleValue:
        """The score, without a widget of its own."""
        result = self.result(self.metric.score)
        result.widget = []
        return result

    def display_name(self) -> str:
        """Feature and method."""
        return str(self.metric.name)


class SummaryMetric(SingleValueMetric):  # type: ignore[misc]
    """The head of the report: counters and a table. Its value is the number of drifted features."""

    title: str
    drifted: int
    counters: dict[str, str]
    header: list[str]
    rows: list[list[str]]


class SummaryCalculation(SingleValueCalculation[SummaryMetric]):  # type: ignore[misc]
    """Draws the head."""

    def calculate(self, _context: Any, _current: Any, _reference: Any) -> SingleValue:
        """The number of drifted features, with the two widgets."""
        result = self.result(self.metric.drifted)
        result.widget = self._widgets()
        return result

    def display_name(self) -> str:
        """The report's title."""
        return str(self.metric.title)

    def _widgets(self) -> list[BaseWidgetInfo]:
        counters = [CounterData(label, value) for label, value in self.metric.counters.items()]
        return [
            counter(title=self.metric.title, counters=counters, size=WidgetSize.FULL),
            table_data(title="", column_names=self.metric.header, data=self.metric.rows),
        ]
