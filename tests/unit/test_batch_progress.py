"""What a run says while it works: how far it is, on a terminal and elsewhere."""

import io
import logging
import threading
from typing import Any

import pytest
from rich.console import Console

from adapters.record_files.chunks import Position
from adapters.record_files.reading import Format
from batch_scorer.ledger import PieceReport, UnitReport
from batch_scorer.plan import Piece, PlannedFile
from batch_scorer.progress import MOST_FILES, LogLines, show_progress
from batch_scorer.progress_bar import in_words, opened_bar
from batch_scorer.run_manifest import Counts
from batch_scorer.tally import Figures, FileEnd, Tally


def text_file(index: int = 0, size: int = 1000) -> PlannedFile:
    """A file that does not say how many rows it has."""
    return planned(index, size, None, [Piece(0)], "csv")


def table_file(index: int = 0, rows: int = 300, size: int = 1000) -> PlannedFile:
    """Two pieces of two units each, of a third and two thirds of the rows."""
    pieces = [Piece(0, 0, 0, (0, 1)), Piece(1, 2, rows // 3, (1, 3))]
    return planned(index, size, rows, pieces, "parquet")


def planned(
    index: int, size: int, rows: int | None, pieces: list[Piece], kind: Format
) -> PlannedFile:
    """A file to read."""
    name = f"{index:03}.{kind}"
    return PlannedFile(
        index=index,
        file=name,
        path=name,
        url=name,
        size=size,
        etag="e",
        format=kind,
        rows=rows,
        pieces=pieces,
    )


def unit(number: int, records: int, offset: int = 0, rejected: int = 0) -> UnitReport:
    """A unit that is done."""
    return UnitReport(
        unit=number,
        etag="e",
        counts=Counts(records, records - rejected, rejected),
        codes={},
        distribution={},
        seconds=0.1,
        end=Position(0, offset),
    )


def piece(number: int, records: int, error: str | None = None, rejected: int = 0) -> PieceReport:
    """A piece that is done, or has failed."""
    return PieceReport(
        piece=number,
        etag="e",
        units=2,
        scored_units=[],
        rejected_units=[],
        counts=Counts(records, records - rejected, rejected),
        codes={},
        distribution={},
        seconds=0.5,
        error=error,
    )


class Rig:
    """A tally of files with a clock that is set by hand, and the files that ended."""

    def __init__(self, *files: PlannedFile) -> None:
        self.now = 0.0
        self.ends: list[FileEnd] = []
        self.pieces = [(file, each) for file in files for each in file.pieces]
        self.tally = Tally(self.pieces, lambda: self.now, self.ends.append)

    def at(self, seconds: float) -> Figures:
        """The figures at a time."""
        self.now = seconds
        return self.tally.figures()


def test_the_share_is_that_of_rows_where_all_are_known() -> None:
    """Units may end in any order; a piece that failed counts as behind us."""
    file = table_file()
    rig = Rig(file)
    rig.tally.unit(file, unit(3, 50, rejected=2))
    rig.tally.unit(file, unit(0, 60))
    figures = rig.at(1.0)
    assert figures.share == pytest.approx(110 / 300)
    assert (figures.records, figures.rejected) == (110, 2)
    rig.tally.piece(file, piece(1, 50, "cut off", rejected=2))
    figures = rig.at(2.0)
    assert figures.share == pytest.approx(260 / 300)
    assert figures.records == 110
    assert rig.ends == []
    rig.tally.unit(file, unit(1, 40))
    rig.tally.piece(file, piece(0, 100))
    assert rig.at(3.0).share == pytest.approx(1.0)
    assert rig.ends == [FileEnd("000.parquet", Counts(150, 148, 2), 1.0, "cut off")]
    assert (rig.at(3.0).files_done, rig.at(3.0).files_failed) == (1, 1)


def test_the_share_is_that_of_bytes_where_rows_are_not_known() -> None:
    """Text by what was read of it; when a later unit ends first, the earlier changes nothing."""
    text, table = text_file(0, 3000), table_file(1, 300, 1000)
    rig = Rig(text, table)
    rig.tally.unit(text, unit(1, 10, offset=2000))
    assert rig.at(1.0).share == pytest.approx(0.5)
    rig.tally.unit(text, unit(0, 10, offset=1000))
    assert rig.at(1.0).share == pytest.approx(0.5)
    rig.tally.unit(text, unit(2, 10, offset=99_999), share=0.9)  # compressed
    assert rig.at(1.0).share == pytest.approx(0.675)
    rig.tally.unit(table, unit(0, 30))
    assert rig.at(1.0).share == pytest.approx(0.675 + 0.25 * 0.1)
    rig.tally.unit(text, unit(3, 10, offset=99_999))
    assert rig.at(1.0).share == pytest.approx(0.75 + 0.25 * 0.1)


def test_the_rate_is_that_of_the_last_seconds() -> None:
    """Fast at first and slow later gives the slow rate, and the time that is left by it."""
    file = text_file(size=1000)
    rig = Rig(file)
    assert rig.at(0.0).seconds_left is None
    done = 0
    for second, records in enumerate([100] * 3 + [10] * 20, 1):
        done += records
        rig.tally.unit(file, unit(second, records, offset=done))
        figures = rig.at(float(second))
        if second == 3:
            assert figures.records_per_second == pytest.approx(100)
            assert figures.seconds_left == pytest.approx(7)
    assert figures.records_per_second == pytest.approx(10)
    assert figures.seconds_left == pytest.approx(50)


def test_a_standstill_shows() -> None:
    """No records in the last seconds are 0 a second, and nobody knows how long it takes."""
    file = text_file()
    rig = Rig(file)
    rig.tally.unit(file, unit(0, 100, offset=10))
    for second in range(30):
        figures = rig.at(float(second))
    assert (figures.records_per_second, figures.seconds_left) == (0.0, None)


def test_what_earlier_attempts_did_is_in_the_share_and_not_in_the_rate() -> None:
    """Whole pieces and single units; a piece has the sums of both."""
    file = table_file()
    rig = Rig(file)
    rig.tally.resumed(file, piece(0, 100))
    rig.tally.resumed(file, unit(2, 50))
    figures = rig.at(1.0)
    assert (figures.share, figures.records, figures.resumed) == (0.5, 0, 150)
    assert (figures.records_per_second, figures.seconds_left) == (0.0, None)
    rig.tally.unit(file, unit(3, 75))
    figures = rig.at(2.0)
    assert figures.records_per_second == pytest.approx(37.5)
    assert figures.seconds_left == pytest.approx(75 / 37.5)
    rig.tally.piece(file, piece(1, 125))
    figures = rig.at(3.0)
    assert (figures.share, figures.records, figures.resumed) == (1.0, 75, 150)
    assert rig.ends == [FileEnd("000.parquet", Counts(225, 225, 0), 1.0, None)]


def test_pieces_without_word_of_their_units_count() -> None:
    """As an engine tells that has its units elsewhere."""
    file = table_file()
    rig = Rig(file)
    rig.tally.piece(file, piece(0, 100, rejected=4))
    figures = rig.at(1.0)
    assert (figures.records, figures.rejected) == (100, 4)
    assert figures.share == pytest.approx(1 / 3)


def test_nothing_to_do_is_done() -> None:
    """No pieces, or pieces without rows."""
    assert Rig().at(1.0).share == 1.0
    file = table_file(rows=0)
    rig = Rig(file)
    rig.tally.piece(file, piece(0, 0))
    assert rig.at(1.0).share == 1.0


def test_many_threads_can_tell_at_once() -> None:
    """No record is lost or counted twice."""
    files = [table_file(n, rows=3000) for n in range(8)]
    rig = Rig(*files)
    start = threading.Barrier(len(files))

    def tell(file: PlannedFile) -> None:
        start.wait()
        for _ in range(500):
            rig.tally.unit(file, unit(0, 2))
            rig.tally.unit(file, unit(2, 4))
        rig.tally.piece(file, piece(0, 1000))
        rig.tally.piece(file, piece(1, 2000))

    threads = [threading.Thread(target=tell, args=(file,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    figures = rig.at(1.0)
    assert (figures.records, figures.files_done) == (24_000, 8)
    assert figures.share == pytest.approx(1.0)


def lines_of(caplog: pytest.LogCaptureFixture, message: str) -> list[dict[str, Any]]:
    """What was logged with that message."""
    return [vars(record) for record in caplog.records if record.message == message]


def test_each_of_a_few_files_has_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """With its counts, and as a warning with the reason when it failed."""
    caplog.set_level(logging.INFO)
    lines = LogLines(2)
    lines.ended(FileEnd("a.csv", Counts(1000, 990, 10), 1.25, None))
    lines.ended(FileEnd("b.csv", Counts(5, 5, 0), 0.1, "b.csv is cut off"))
    (done,), (failed,) = lines_of(caplog, "file done"), lines_of(caplog, "file failed")
    assert (done["file"], done["received"], done["scored"], done["rejected"]) == (
        "a.csv",
        1000,
        990,
        10,
    )
    assert (failed["levelname"], failed["error"]) == ("WARNING", "b.csv is cut off")


def test_of_many_files_slow_and_failed_ones_have_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """Slow is four times the mean so far and 5 s; of failed files the first 100 are named."""
    caplog.set_level(logging.INFO)
    lines = LogLines(MOST_FILES + 1)
    for seconds in (1.0, 4.5, 6.0, 15.3, 40.0):
        lines.ended(FileEnd(f"{seconds}", Counts(), seconds, None))
    assert [line["file"] for line in lines_of(caplog, "file done")] == ["40.0"]
    for number in range(150):
        lines.ended(FileEnd(f"bad{number}", Counts(), 0.0, "cut off"))
    assert len(lines_of(caplog, "file failed")) == 100


def test_a_line_says_how_far_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """All figures, those that are not known left out."""
    caplog.set_level(logging.INFO)
    lines = LogLines(3)
    lines.tell(Figures(0.12345, 1000, 3, 0, 99.7, None, 3, 1, 0))
    lines.tell(Figures(0.5, 1000, 3, 70, 99.7, 61.2, 3, 1, 1))
    first, second = lines_of(caplog, "scoring")
    assert (first["share"], first["records_per_second"], first["files_done"]) == (0.1235, 100, 1)
    assert "seconds_left" not in first
    assert "resumed" not in first
    assert (second["seconds_left"], second["resumed"], second["files_failed"]) == (61, 70, 1)


class Noticing(logging.Handler):
    """Says when a line was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = threading.Semaphore(0)

    def emit(self, record: logging.LogRecord) -> None:
        """One more."""
        if record.getMessage() == "scoring":
            self.lines.release()


def test_lines_come_while_nothing_happens(caplog: pytest.LogCaptureFixture) -> None:
    """Without any unit that ends; pieces that are recorded without an error count as done."""
    caplog.set_level(logging.INFO)
    file, noticing = table_file(), Noticing()
    logging.getLogger().addHandler(noticing)
    recorded = {(0, 0): piece(0, 100), (0, 1): piece(1, 20, "cut off")}
    pieces = [(file, each) for each in file.pieces]
    try:
        with show_progress(pieces, recorded, seconds=0.001):
            for _ in range(3):
                assert noticing.lines.acquire(timeout=60)
    finally:
        logging.getLogger().removeHandler(noticing)
    line = lines_of(caplog, "scoring")[-1]
    assert (line["resumed"], line["records"], line["share"]) == (100, 0, 0.3333)
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]


def test_a_bar_shows_the_figures_and_failed_files() -> None:
    """What is in a file's name is no markup; after 2 failed files here no more are named."""
    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=True, width=120, color_system=None)
    with opened_bar(2, console) as bar:
        bar.tell(Figures(0.25, 1200, 0, 34, 99.7, 3700.0, 3, 1, 1))
        bar.ended(FileEnd("good.csv", Counts(), 0.0, None))
        for number in range(3):
            bar.ended(FileEnd(f"[red]{number}.csv", Counts(), 0.0, "is cut off"))
    text = drawn.getvalue()
    assert "1,234 records, 100/s, 1 of 3 files, 1 failed, 1:01:40 left" in text
    assert " 25%" in text
    assert "failed: [red]1.csv: is cut off" in text
    assert "2.csv" not in text
    assert "good.csv" not in text


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0:00"), (61.6, "1:02"), (36000, "10:00:00")])
def test_the_time_left_in_words(seconds: float, said: str) -> None:
    """Minutes and seconds, hours where there are any."""
    assert in_words(Figures(0.5, 1, 0, 0, 1.0, seconds, 1, 0, 0)).endswith(f", {said} left")


class Terminal(io.StringIO):
    """What a terminal was sent."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_on_a_terminal_there_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with the last figures."""
    terminal, file = Terminal(), table_file()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with show_progress([(file, each) for each in file.pieces], seconds=600) as progress:
        progress.unit(file, unit(0, 100))
        progress.piece(file, piece(0, 100))
        progress.piece(file, piece(1, 200))
    assert "300 records" in terminal.getvalue()
    assert "1 of 1 files" in terminal.getvalue()
    assert "100%" in terminal.getvalue()
