"""What a run says where there is no terminal."""

import logging
from datetime import timedelta

import pytest

from batch_scorer.inputs import InputFile
from batch_scorer.progress import show_progress
from batch_scorer.run_manifest import InputReport
from tests.support.toy import NOW


def test_log_lines_come_every_few_seconds_and_per_file(caplog: pytest.LogCaptureFixture) -> None:
    """Many chunks make few lines, each with the records so far; a finished file makes one."""
    caplog.set_level(logging.INFO)
    now = [NOW]
    source = InputFile(0, "a.csv", "a.csv", "memory://a.csv", 100, "", "csv")
    with show_progress([source], lambda: now[0]) as progress:
        for number in range(1, 101):
            now[0] = NOW + timedelta(seconds=number / 10)
            progress.chunk(source, 10, number / 100)
        progress.file(InputReport("a.csv", "memory://a.csv", 100, "", 1000, 990, 10, 10.0))
    lines = [vars(record) for record in caplog.records]
    assert [line["message"] for line in lines] == ["scoring", "scoring", "file done"]
    assert [line["records"] for line in lines[:2]] == [500, 1000]
    assert [line["file_share"] for line in lines[:2]] == [0.5, 1.0]
    assert lines[0]["records_per_second"] == 100
    assert (lines[2]["received"], lines[2]["scored"], lines[2]["rejected"]) == (1000, 990, 10)
