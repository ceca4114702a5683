"""References of the inference log, and the entries that are made of them."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from adapters.log_references import (
    LogReference,
    is_reference,
    read_reference,
    reference_path,
    write_reference,
)
from adapters.log_resolution import resolve
from adapters.record_files.chunks import CsvDialect, ReadOptions
from adapters.record_files.reading import Format
from adapters.storage import Storage, open_storage
from scoring.errors import InputError, StorageUnavailable
from scoring.manifest import OutputColumn, OutputSpec
from scoring.model import ModelBundle
from tests.support.log_entries import WIDE_ROWS, read_log, wide_model
from tests.support.logged_runs import InputSpec, LoggedRun, picky, write_parquet
from tests.support.toy import load_toy, records

Rows = Sequence[Mapping[str, Any]]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


def resolved(
    run: LoggedRun,
    references: Sequence[LogReference],
    columns: Sequence[str] | None = None,
    opened: Callable[[str], Storage] = open_storage,
) -> tuple[list[pa.Table], list[str]]:
    """What a reader gets of references: tables, and problems."""
    problems: list[str] = []
    found = [
        table
        for reference in references
        for table in resolve(reference, run.model, opened, problems.append, columns)
    ]
    return found, problems


def parquet_run(root: Path, model: ModelBundle, rows: Rows) -> LoggedRun:
    """A run of one Parquet file in two pieces of row groups."""
    write_parquet(root / "in" / "rows.parquet", rows)
    pieces = (((0, 2), 0), ((2, -(-len(rows) // 100)), 200))
    return LoggedRun(model, root, [InputSpec("rows.parquet", "parquet", pieces=pieces)])


def with_broken(rows: Rows) -> list[dict[str, Any]]:
    """The same with a record in seven that lacks a value."""
    return [{**row, "n": None} if i % 7 == 3 else dict(row) for i, row in enumerate(rows)]


def csv_text(rows: Rows) -> str:
    """Records as a German spreadsheet program writes them, without the column `name`."""
    lines = ["record_id;mass;n;flag"]
    for i, row in enumerate(rows):
        number = repr(row["x"]).replace(".", ",")
        cells = [f"r{i}", number, "" if row["n"] is None else str(row["n"]), str(row["flag"])]
        lines.append(";".join(cells) + (";one too many" if i % 50 == 5 else ""))
    return "\n".join(lines) + "\n"


def jsonl_text(rows: Rows) -> str:
    """Records as JSON Lines, some of which are none."""
    lines = [json.dumps({"record_id": f"r{i}", **row}) for i, row in enumerate(rows)]
    return "\n".join(line[:-1] if i % 50 == 5 else line for i, line in enumerate(lines)) + "\n"


def run_of(kind: Format, root: Path, model: ModelBundle) -> LoggedRun:
    """A run of one file of a format, with rejected rows, and whatever the format makes possible."""
    rows = with_broken(records(333))
    if kind == "parquet":
        return parquet_run(root, model, rows)
    (root / "in" / "name=senior").mkdir(parents=True)
    if kind == "jsonl":
        (root / "in" / "rows.jsonl").write_text(jsonl_text(rows))
        return LoggedRun(model, root, [InputSpec("rows.jsonl", "jsonl")])
    (root / "in" / "name=senior" / "rows.csv").write_text(csv_text(rows))
    options = ReadOptions({"mass": "x"}, {"name": "senior"}, CsvDialect(";", decimal=","))
    return LoggedRun(model, root, [InputSpec("name=senior/rows.csv", "csv", options)])


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_reference_gives_the_rows_that_the_log_would_have(
    kind: Format, tmp_path: Path, toy: ModelBundle
) -> None:
    """Unit by unit: every column, features and outputs to the bit, rejected rows with their code,
    ids as the run's own; from files with renamed columns, Hive partitions and several pieces.
    """
    run = run_of(kind, tmp_path, toy)
    found, problems = resolved(run, run.score())
    assert problems == []
    assert len(found) == len(run.tables)
    assert sum(map(len, found)) == 333
    for table, wanted in zip(found, run.tables, strict=True):
        assert table.equals(wanted)
    outcomes = pa.concat_tables(found)["outcome"].to_pylist()
    assert set(outcomes) == {"scored", "rejected"}


def test_every_type_and_null_is_given_back(tmp_path: Path, toy: ModelBundle) -> None:
    """All types of features, nulls, a feature with the name of a log column, no detector."""
    run = parquet_run(tmp_path, wide_model(toy), [*WIDE_ROWS] * 100)
    found, problems = resolved(run, run.score())
    assert problems == []
    assert pa.concat_tables(found).equals(pa.concat_tables(run.tables))
    assert found[0]["feature.scored_at"].to_pylist()[:3] == ["a", "b", "c"]
    assert found[0]["outlier_score"].null_count == len(found[0])


def test_records_that_the_model_failed_on_are_rejected_entries(
    tmp_path: Path, toy: ModelBundle
) -> None:
    """They are valid, so only the parts know; the others keep their features."""
    run = parquet_run(tmp_path, picky(toy), records(300))
    found, problems = resolved(run, run.score())
    entries = pa.concat_tables(found)
    assert problems == []
    assert entries.equals(pa.concat_tables(run.tables))
    assert set(entries["rejection_code"].drop_null().to_pylist()) == {"model_error"}
    assert pc.max(entries["x"]).as_py() <= 2.0


def test_outputs_that_have_another_name_in_parts_are_found(
    tmp_path: Path, toy: ModelBundle
) -> None:
    """An output may have the name of a column of parts, of the log, or of a feature."""
    names = [OutputColumn(name, "double") for name in ("row", "lane")]
    wide = wide_model(toy)
    output = OutputSpec("columns", ["No", "Yes"], names)
    model = replace(wide, manifest=msgspec.structs.replace(wide.manifest, output=output))
    run = parquet_run(tmp_path, model, [*WIDE_ROWS] * 70)
    found, problems = resolved(run, run.score())
    assert problems == []
    assert pa.concat_tables(found).equals(pa.concat_tables(run.tables))
    assert found[0]["output.lane"].to_pylist() == [0.5] * len(found[0])


def test_only_the_wanted_columns_are_given(tmp_path: Path, toy: ModelBundle) -> None:
    """In the order of the log, as a reader of Parquet files would get them."""
    run = parquet_run(tmp_path, toy, records(250))
    found, _ = resolved(run, run.score(), ["x", "outcome", "score"])
    assert found[0].equals(run.tables[0].select(["outcome", "x", "score"]))


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


@pytest.mark.parametrize(
    ("change", "told"), [(_append, "changed since"), (Path.unlink, "does not exist")]
)
def test_without_the_input_that_was_scored_features_are_absent(
    change: Callable[[Path], None], told: str, tmp_path: Path, toy: ModelBundle
) -> None:
    """Outputs and rejections are in the parts; the reader is told once per reference."""
    run = parquet_run(tmp_path, toy, with_broken(records(300)))
    references = run.score()
    change(tmp_path / "in" / "rows.parquet")
    found, problems = resolved(run, references)
    assert len(problems) == len(references) == 2
    assert all(told in problem and "rows.parquet" in problem for problem in problems)
    without = pa.concat_tables(run.tables).drop_columns(["x", "n", "flag", "name"])
    assert pa.concat_tables(found).equals(without)


def test_other_rows_than_were_scored_are_not_joined(tmp_path: Path, toy: ModelBundle) -> None:
    """A file that claims to be the one that was scored, and has other rows, gives no features."""
    run = parquet_run(tmp_path, toy, records(300))
    (reference, *_) = run.score()
    write_parquet(tmp_path / "in" / "rows.parquet", with_broken(records(300)))
    (info,) = run.source.list("rows.parquet")
    claim = msgspec.structs.replace(reference.input, etag=info.etag)
    found, problems = resolved(run, [msgspec.structs.replace(reference, input=claim)])
    assert problems
    assert all("not those that were scored" in problem for problem in problems)
    assert not any("x" in table.column_names for table in found)


def test_rows_that_were_not_there_are_not_joined(tmp_path: Path, toy: ModelBundle) -> None:
    """A file that grew, under the etag that it had, gives no features where it has more rows."""
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "rows.jsonl"
    path.write_text(jsonl_text(records(200)))
    run = LoggedRun(toy, tmp_path, [InputSpec("rows.jsonl", "jsonl")])
    (reference,) = run.score()
    path.write_text(jsonl_text(records(210)))
    claim = msgspec.structs.replace(reference.input, etag=None)
    found, problems = resolved(run, [msgspec.structs.replace(reference, input=claim)])
    assert ["x" in table.column_names for table in found] == [True, True, True, False]
    assert len(problems) == 1
    assert "not those that were scored" in problems[0]


def test_a_file_with_fewer_rows_than_were_scored_is_told(tmp_path: Path, toy: ModelBundle) -> None:
    """What was read so far keeps its features."""
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "rows.jsonl"
    path.write_text(jsonl_text(records(200)))
    run = LoggedRun(toy, tmp_path, [InputSpec("rows.jsonl", "jsonl")])
    (reference,) = run.score()
    path.write_text(jsonl_text(records(130)))
    (info,) = run.source.list("rows.jsonl")
    claim = msgspec.structs.replace(reference.input, etag=info.etag)
    found, problems = resolved(run, [msgspec.structs.replace(reference, input=claim)])
    assert ["x" in table.column_names for table in found] == [True, True, False, False]
    assert len(problems) == 2
    assert "not those that were scored" in problems[0]
    assert "fewer rows" in problems[1]


def _damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _of_another_model(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.rename_columns({"score": "other"}), path)


@pytest.mark.parametrize("change", [Path.unlink, _damage, _of_another_model])
def test_a_unit_without_its_parts_is_left_out_and_told(
    change: Callable[[Path], None], tmp_path: Path, toy: ModelBundle
) -> None:
    """The units before and behind it are given."""
    run = parquet_run(tmp_path, toy, with_broken(records(300)))
    references = run.score()
    change(tmp_path / "out" / "run=nightly" / "scores" / "part-00000-00001.parquet")
    found, problems = resolved(run, references)
    assert len(problems) == 1
    assert "part-00000-00001.parquet" in problems[0]
    assert pa.concat_tables(found).equals(pa.concat_tables([run.tables[0], *run.tables[2:]]))


def test_other_counts_than_the_run_had_are_told(tmp_path: Path, toy: ModelBundle) -> None:
    """Units that are missing in the reference, or parts that have become others, are noticed."""
    run = parquet_run(tmp_path, toy, records(300))
    (reference, *_) = run.score()
    shorter = msgspec.structs.replace(reference, units=reference.units[:-1])
    _, problems = resolved(run, [shorter])
    assert problems == ["rows.parquet: 192 entries where 200 were received"]


def test_a_storage_that_cannot_be_opened_is_told(tmp_path: Path, toy: ModelBundle) -> None:
    """What a reference says is not trusted to be usable; nothing ends for it."""
    run = parquet_run(tmp_path, toy, records(250))
    (reference, *_) = run.score()
    found, problems = resolved(run, [msgspec.structs.replace(reference, output="ftp://host/x")])
    assert (found, len(problems)) == ([], 1)
    claim = msgspec.structs.replace(reference.input, storage="ftp://host/x")
    found, problems = resolved(run, [msgspec.structs.replace(reference, input=claim)])
    assert len(problems) == 1
    assert sum(map(len, found)) == 200
    assert not any("x" in table.column_names for table in found)


def test_a_storage_that_does_not_answer_is_another_matter(tmp_path: Path, toy: ModelBundle) -> None:
    """The reader has to try again later."""
    run = parquet_run(tmp_path, toy, records(250))
    references = run.score()

    def refused(url: str) -> Storage:
        raise StorageUnavailable(url)

    with pytest.raises(StorageUnavailable):
        resolved(run, references, opened=refused)


def test_a_repeat_replaces_the_reference_of_its_piece(tmp_path: Path, toy: ModelBundle) -> None:
    """The path depends on run, file and piece, and on the hour of the event time in UTC."""
    run = parquet_run(tmp_path, toy, records(250))
    one, two = run.score()
    later = msgspec.structs.replace(
        one,
        scored_at=one.scored_at + timedelta(days=1),
        event_time=datetime.fromisoformat("2026-03-02T10:59:59+02:00"),
    )
    assert reference_path(one).startswith(
        "inference-log/model=toy/version=7/date=2026-03-02/hour=08/_ref-"
    )
    assert reference_path(later) == reference_path(one) != reference_path(two)
    for change in ({"file": "other"}, {"request_id": "other"}):
        assert reference_path(msgspec.structs.replace(one, **change)) != reference_path(one)
    write_reference(run.store, later)
    stored = [info.path for info in run.store.list("inference-log")]
    assert sorted(stored) == sorted(run.paths([one, two]))
    assert all(map(is_reference, stored))
    assert read_reference(run.store, reference_path(one)) == later


def test_a_piece_without_entries_has_no_reference(tmp_path: Path, toy: ModelBundle) -> None:
    """Not even the one that an earlier attempt left."""
    run = parquet_run(tmp_path, toy, records(250))
    one, two = run.score()
    write_reference(run.store, msgspec.structs.replace(one, units=[]))
    assert [info.path for info in run.store.list("inference-log")] == run.paths([two])


def test_all_that_was_written_is_read(tmp_path: Path, toy: ModelBundle) -> None:
    """Times with their zone, options and position included."""
    run = run_of("csv", tmp_path, toy)
    (reference,) = run.score()
    assert read_reference(run.store, reference_path(reference)) == reference
    assert reference.input.options.dialect.decimal == ","
    assert reference.event_time.tzinfo is UTC


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff", b'{"schema_version": 2}'])
def test_a_reference_that_is_none_is_refused(damage: bytes, tmp_path: Path) -> None:
    """Damaged ones and those of a later version raise ValueError, a missing one InputError."""
    store = open_storage(str(tmp_path))
    store.write("_ref-a.json", damage)
    with pytest.raises(ValueError):  # noqa: PT011  (decoders raise several)
        read_reference(store, "_ref-a.json")
    with pytest.raises(InputError):
        read_reference(store, "_ref-b.json")


def test_a_later_version_is_refused_whatever_it_says(tmp_path: Path, toy: ModelBundle) -> None:
    """Even if all fields of this version are there."""
    run = parquet_run(tmp_path, toy, records(250))
    (reference, *_) = run.score()
    later = msgspec.structs.replace(reference, schema_version=2)
    write_reference(run.store, later)
    with pytest.raises(ValueError, match="version 2"):
        read_reference(run.store, reference_path(later))


def test_the_documented_way_to_rows_works(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The program in the documentation, run on a bundle and a log of its own."""
    page = (Path(__file__).parents[2] / "docs" / "inference-log.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    model = load_toy(tmp_path / "var" / "bundles" / "toy", reference=0)
    run = parquet_run(tmp_path, model, with_broken(records(300)))
    (tmp_path / "store").symlink_to("var/storage")
    (tmp_path / "var" / "storage").mkdir()
    run.score()
    monkeypatch.chdir(tmp_path)
    exec(program.replace("employee_attrition", "toy").replace("version=1", "version=7"), {})  # noqa: S102
    found = read_log(tmp_path / "var" / "rows")
    wanted = pa.concat_tables(run.tables).sort_by("entry_id")
    assert found.select(wanted.column_names).equals(wanted)
    assert capsys.readouterr().out == ""
