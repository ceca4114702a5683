"""Windows of runs that were logged by reference: the verdicts are those of logged rows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.log_references import reference_path, write_reference
from adapters.parquet_log import ParquetInferenceLog
from adapters.storage import open_storage
from monitoring.drift import judge, summarize
from monitoring.entries import WindowEntries, read_entries
from monitoring.reference import Reference, load_reference
from monitoring.references import Resolver
from monitoring.rows import Run, metric_rows, report_row
from monitoring.settings import MonitorSettings
from monitoring.tables import MetricRow, ReportRow, read_reports
from monitoring.windows import Window, logged_files
from monitoring.worker import watch
from scoring.model import ModelBundle
from tests.support.drift import POLICY_FILE, shipped_policy
from tests.support.log_entries import INVALID, entries
from tests.support.logged_runs import EVENT_TIME, STARTED, InputSpec, LoggedRun, write_parquet
from tests.support.toy import load_toy, records

WINDOW = Window(EVENT_TIME.replace(minute=0))


@dataclass(frozen=True)
class Bundle:
    """A toy model with its reference."""

    directory: Path
    model: ModelBundle
    reference: Reference


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The toy model."""
    directory = tmp_path_factory.mktemp("toy") / "bundle"
    model = load_toy(directory)
    return Bundle(directory, model, load_reference(directory, shipped_policy().profile))


def shifted(count: int) -> list[dict[str, Any]]:
    """Records with a higher `x`, a job `name` training never saw, and some that are rejected."""
    rows = records(count, 3)
    for i, row in enumerate(rows):
        row["x"] += 0.5
        if row["n"] == 3:
            row["name"] = "new"
        if i % 11 == 4:
            row["n"] = None
    return rows


def write_inputs(root: Path, rows: Sequence[dict[str, Any]]) -> list[InputSpec]:
    """The records in a Parquet file of two pieces and a JSON Lines file."""
    half = len(rows) // 2
    write_parquet(root / "in" / "a.parquet", rows[:half], group=half // 3 + 1)
    lines = [json.dumps({"record_id": f"s{i}", **row}) for i, row in enumerate(rows[half:])]
    (root / "in" / "b.jsonl").write_text("\n".join([*lines, "no record"]) + "\n")
    pieces = (((0, 1), 0), ((1, 3), half // 3 + 1))
    return [InputSpec("a.parquet", "parquet", pieces=pieces), InputSpec("b.jsonl", "jsonl")]


def run_of(bundle: Bundle, root: Path, count: int = 1400) -> LoggedRun:
    """A run that is logged by reference."""
    return LoggedRun(bundle.model, root, write_inputs(root, shifted(count)))


def by_rows(run: LoggedRun, root: Path) -> LoggedRun:
    """The same run of the same input, logged as rows, elsewhere."""
    (root / "in").parent.mkdir(parents=True, exist_ok=True)
    (root / "in").symlink_to(run.root / "in")
    return replace(run, root=root, by_reference=False, tables=[])


def window_of(bundle: Bundle, run: LoggedRun) -> WindowEntries:
    """What monitoring reads of the run's hour."""
    files = logged_files(run.store, bundle.model.version)
    resolver = Resolver(bundle.model, open_storage)
    return read_entries(run.store, files[WINDOW], bundle.reference, resolver)


def drift_rows(bundle: Bundle, window: WindowEntries) -> tuple[list[MetricRow], list[ReportRow]]:
    """All rows of the drift tables, as the watcher makes them."""
    run = Run(bundle.reference, WINDOW, "policy", "code", STARTED)
    metrics, reports = [], []
    for lane, profile in (("all", window.together), *window.lanes.items()):
        verdicts = judge(bundle.reference, profile, shipped_policy())
        metrics += metric_rows(run, lane, verdicts)
        reports.append(report_row(run, lane, profile, summarize(verdicts, False)))
    return metrics, reports


def counts(window: WindowEntries, lane: str = "batch") -> tuple[int, int]:
    """Scored and rejected entries of a lane."""
    return window.lanes[lane].scored, window.lanes[lane].rejected


@pytest.mark.parametrize(
    ("count", "scored", "rejected"), [(1400, 1273, 128), (140_000, 127_273, 12_728)]
)
def test_a_referenced_run_gets_the_verdicts_of_a_logged_one(
    count: int, scored: int, rejected: int, bundle: Bundle, tmp_path: Path
) -> None:
    """All rows of both tables are equal, statistics to the bit, beside another lane's rows; of
    values that are counted exactly and of those in bins.
    """
    run = run_of(bundle, tmp_path / "reference", count)
    run.chunk_records = count // 20
    other = by_rows(run, tmp_path / "rows")
    for each in (run, other):
        each.score()
        online = entries(bundle.model, [*records(600, 9), INVALID], "online", EVENT_TIME)
        ParquetInferenceLog(each.store, bundle.model).append(online)
    referenced, logged = window_of(bundle, run), window_of(bundle, other)
    assert referenced.damaged_files == ()
    assert counts(referenced) == counts(logged) == (scored, rejected)
    assert counts(referenced, "online") == (600, 1)
    found = drift_rows(bundle, referenced)
    assert found == drift_rows(bundle, logged)
    assert {row.feature for row in found[0] if row.lane == "batch" and row.status == "drift"} == {
        "x",
        "name",
    }


def test_the_command_reads_references(bundle: Bundle, tmp_path: Path) -> None:
    """From the log to the tables, with what the storages of a reference need to be opened."""
    run = run_of(bundle, tmp_path)
    run.score()
    root = tmp_path / "store"
    watch(
        MonitorSettings(
            bundle=bundle.directory,
            storage_url=str(root),
            policy=POLICY_FILE,
            once=True,
            html_reports=False,
        )
    )
    (report,) = read_reports(open_storage(str(root)), "toy", "7")
    assert (report.row_count, report.rejected_rows, report.status) == (1401, 128, "drift")
    assert report.features_drifted == 2


def test_a_run_that_was_killed_and_repeated_counts_once(bundle: Bundle, tmp_path: Path) -> None:
    """Killed within a piece and between pieces, and done again when it was complete."""
    once = run_of(bundle, tmp_path / "once")
    often = replace(once, root=tmp_path / "often", tables=[])
    (tmp_path / "often").mkdir()
    (tmp_path / "often" / "in").symlink_to(once.root / "in")
    once.score()
    for units in (2, 5, 15):
        often.score(units)
    assert sum(counts(window_of(bundle, often))) < 1401
    for _ in range(2):
        often.score()
    repeated, wanted = window_of(bundle, often), window_of(bundle, once)
    assert counts(repeated) == counts(wanted) == (1273, 128)
    assert drift_rows(bundle, repeated) == drift_rows(bundle, wanted)


def test_a_run_begun_anew_replaces_what_it_referenced(bundle: Bundle, tmp_path: Path) -> None:
    """Other files, other pieces: references that no attempt replaced count for nothing."""
    run = run_of(bundle, tmp_path)
    run.score()
    again = replace(
        run,
        files=[InputSpec("a.parquet", "parquet")],
        started_at=STARTED + timedelta(hours=2),
        tables=[],
    )
    again.score()
    assert len(run.store.list("inference-log")) == 3
    window = window_of(bundle, again)
    assert window.damaged_files == ()
    assert sum(counts(window)) == 700


def test_a_file_that_was_replaced_counts_as_it_is_now(bundle: Bundle, tmp_path: Path) -> None:
    """The piece that it has no more counts for nothing, although the run is the same."""
    run = run_of(bundle, tmp_path)
    run.score()
    write_parquet(tmp_path / "in" / "a.parquet", shifted(90))
    again = replace(run, files=[InputSpec("a.parquet", "parquet")], tables=[])
    (repaired,) = again.score()
    later = repaired.scored_at + timedelta(minutes=30)
    write_reference(again.store, msgspec.structs.replace(repaired, scored_at=later))
    files = logged_files(again.store, bundle.model.version)[WINDOW]
    for order in (files, files[::-1]):
        window = read_entries(
            again.store, order, bundle.reference, Resolver(bundle.model, open_storage)
        )
        assert window.damaged_files == ()
        assert sum(counts(window)) == 90 + 701


def test_two_runs_of_one_name_are_both_counted(bundle: Bundle, tmp_path: Path) -> None:
    """Of two outputs, they are two runs; the later one does not drop the earlier."""
    one = run_of(bundle, tmp_path)
    one.score()
    write_parquet(tmp_path / "other" / "in" / "c.parquet", shifted(100))
    two = LoggedRun(
        bundle.model,
        tmp_path / "other",
        [InputSpec("c.parquet", "parquet")],
        started_at=STARTED + timedelta(hours=1),
    )
    (reference,) = two.score()
    write_reference(one.store, reference)
    assert sum(counts(window_of(bundle, one))) == 1401 + 100


def test_a_run_that_was_logged_both_ways_counts_once(bundle: Bundle, tmp_path: Path) -> None:
    """Begun anew with another way to log, its entries are the same ones."""
    run = run_of(bundle, tmp_path)
    replace(run, by_reference=False, tables=[]).score(9)
    run.score()
    window = window_of(bundle, run)
    assert counts(window) == (1273, 128)
    assert window.together.columns["x"].present == 1273


def test_a_changed_input_makes_errors_of_features_only(bundle: Bundle, tmp_path: Path) -> None:
    """The window names the reference; counts are exact, and outputs are judged from the parts."""
    run = run_of(bundle, tmp_path)
    first, second, _ = run.score()
    path = tmp_path / "in" / "a.parquet"
    path.write_bytes(path.read_bytes() + b" ")
    window = window_of(bundle, run)
    assert sorted(window.damaged_files) == sorted(run.paths([first, second]))
    assert counts(window) == (1273, 128)
    metrics, _ = drift_rows(bundle, window)
    by_role = {row.role: row for row in metrics if row.lane == "batch"}
    statuses = {(row.role, row.status) for row in metrics}
    assert statuses >= {("feature", "error"), ("output", "ok"), ("outlier", "ok")}
    assert ("feature", "ok") not in statuses
    assert f"of {counts(window)[0]} records" in by_role["feature"].details


def test_a_vanished_part_takes_its_unit_out_and_is_told(bundle: Bundle, tmp_path: Path) -> None:
    """What cannot be had is not counted, and the window says that something is missing."""
    run = run_of(bundle, tmp_path)
    references = run.score()
    lost = run.tables[0].num_rows
    (tmp_path / "out" / "run=nightly" / "scores" / "part-00000-00000.parquet").unlink()
    window = window_of(bundle, run)
    assert window.damaged_files == (reference_path(references[0]),)
    assert sum(counts(window)) == 1401 - lost


@pytest.mark.parametrize("damage", [b"", b'{"schema_version": 9}'])
def test_a_damaged_reference_is_named(
    damage: bytes, bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its entries are missing, all others are counted."""
    run = run_of(bundle, tmp_path)
    *_, last = run.score()
    run.store.write(reference_path(last), damage)
    window = window_of(bundle, run)
    assert window.damaged_files == (reference_path(last),)
    assert sum(counts(window)) == 700
    assert reference_path(last) in caplog.text


def test_no_value_of_a_record_is_logged(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is said of references that cannot be read names files and columns."""
    rows = shifted(200)
    for row in rows:
        row["name"] = "a secret name"
    run = LoggedRun(bundle.model, tmp_path, write_inputs(tmp_path, rows))
    run.score()
    (tmp_path / "out" / "run=nightly" / "scores" / "part-00000-00000.parquet").unlink()
    (tmp_path / "in" / "b.jsonl").unlink()
    assert len(window_of(bundle, run).damaged_files) == 2
    assert "b.jsonl" in caplog.text
    assert "secret" not in caplog.text


def test_without_a_resolver_references_are_damaged_files(bundle: Bundle, tmp_path: Path) -> None:
    """They are never passed over in silence."""
    run = run_of(bundle, tmp_path, 300)
    references = run.score()
    files = logged_files(run.store, bundle.model.version)[WINDOW]
    window = read_entries(run.store, files, bundle.reference)
    assert sorted(window.damaged_files) == sorted(run.paths(references))
    assert window.lanes == {}
