"""The real SDK against a stand-in with the service's limits."""

import math
from datetime import UTC, datetime

import msgspec
import pytest

from adapters.log_analytics import MAX_CALL_BYTES, LogAnalytics, Retries
from scoring.errors import ConfigurationError, ServiceUnavailable
from tests.support.log_ingestion import log_ingestion

QUICK = Retries(times=3, backoff_seconds=0.01)


class Row(msgspec.Struct, rename="pascal"):
    """A row of a test table."""

    row_id: str
    window_start: datetime
    score: float | None
    details: str


def rows(count: int, details: str = "") -> list[Row]:
    """Rows of which every third has a NaN."""
    start = datetime(2026, 3, 2, 12, tzinfo=UTC)
    return [Row(str(i), start, math.nan if i % 3 == 0 else 0.5, details) for i in range(count)]


def test_rows_arrive_under_the_tables_names() -> None:
    """NaN is null, a time is ISO 8601, the stream is named after the table."""
    with log_ingestion() as service:
        sink = LogAnalytics(service.endpoint, "dcr-1", QUICK)
        sink.upload("DriftMetrics_CL", rows(2))
        sink.close()
    assert service.rules == {"dcr-1"}
    assert service.rows == {
        "Custom-DriftMetrics_CL": [
            {"RowId": "0", "WindowStart": "2026-03-02T12:00:00Z", "Score": None, "Details": ""},
            {"RowId": "1", "WindowStart": "2026-03-02T12:00:00Z", "Score": 0.5, "Details": ""},
        ]
    }


def test_many_rows_take_several_calls_below_the_limit() -> None:
    """Rows of 3 MB arrive complete and in order, none of them in a call that is too large."""
    sent = rows(3000, "é" * 500)
    with log_ingestion() as service:
        sink = LogAnalytics(service.endpoint, "dcr-1", QUICK)
        sink.upload("DriftMetrics_CL", sent)
        sink.close()
    arrived = service.rows["Custom-DriftMetrics_CL"]
    assert [row["RowId"] for row in arrived] == [row.row_id for row in sent]
    assert {status for _, status in service.calls} == {204}
    assert len(service.calls) == math.ceil(sum(len(msgspec.json.encode(r)) + 1 for r in sent)
                                           / MAX_CALL_BYTES)  # fmt: skip


def test_no_rows_make_no_call() -> None:
    """An empty table needs no service."""
    with log_ingestion() as service:
        sink = LogAnalytics(service.endpoint, "dcr-1", QUICK)
        sink.upload("DriftMetrics_CL", [])
        sink.close()
    assert service.calls == []


@pytest.mark.parametrize("failures", [[429], [408], [500, 502], [503, 504, 429], [0, 0]])
def test_a_call_is_repeated(failures: list[int]) -> None:
    """What passes by itself (busy, overloaded, dropped) is tried again; the rows arrive once."""
    with log_ingestion(failures) as service:
        sink = LogAnalytics(service.endpoint, "dcr-1", QUICK)
        sink.upload("DriftReports_CL", rows(3))
        sink.close()
    assert [status for _, status in service.calls] == [*failures, 204]
    assert len(service.rows["Custom-DriftReports_CL"]) == 3


@pytest.mark.parametrize("failures", [[403], [429] * 9, [500] * 9, [0] * 9])
def test_what_is_not_accepted_is_transient(failures: list[int]) -> None:
    """After a bounded number of calls the caller hears of it and may try again later."""
    with log_ingestion(failures) as service:
        sink = LogAnalytics(service.endpoint, "dcr-1", QUICK)
        with pytest.raises(ServiceUnavailable, match="did not accept rows for DriftReports_CL"):
            sink.upload("DriftReports_CL", rows(3))
        sink.close()
    assert len(service.calls) == (1 if failures == [403] else 4)
    assert service.rows == {}


def test_nothing_listening_is_transient() -> None:
    """A service that is not there is worth another try."""
    with log_ingestion() as service:
        gone = service.endpoint
    sink = LogAnalytics(gone, "dcr-1", QUICK)
    with pytest.raises(ServiceUnavailable):
        sink.upload("DriftReports_CL", rows(1))
    sink.close()


@pytest.mark.parametrize(
    "endpoint", ["http://example.org", "http://127.0.0.1.example.org", "ingest.example.org"]
)
def test_a_token_never_leaves_without_tls(endpoint: str) -> None:
    """Plain http is for this machine only."""
    with pytest.raises(ConfigurationError, match="https"):
        LogAnalytics(endpoint, "dcr-1")
