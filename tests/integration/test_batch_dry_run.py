"""`trilane batch --dry-run`: what a run would read, and what is wrong with it."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from adapters.storage import open_storage
from batch_scorer.__main__ import main
from batch_scorer.inputs.dry_run import dry_run
from batch_scorer.inputs.incremental import remember
from batch_scorer.inputs.samples import evenly, suggested
from batch_scorer.outcome import Outcome
from batch_scorer.run_manifest import Counts, InputReport, ModelReport, RunManifest
from batch_scorer.settings import BatchSettings
from scoring.errors import InputError
from tests.support.toy import make_bundle, records

HEADER = "record_id,x,n,flag,name\n"
GOOD = HEADER + "".join(f"r{i},1.5,3,true,senior\n" for i in range(5))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy bundle; no test changes it."""
    return make_bundle(tmp_path_factory.mktemp("bundle"), reference=0)


def looked_at(bundle: Path, directory: Path, **told: Any) -> Outcome:
    """A dry run over `in`; nothing but that is there before or after."""
    values: dict[str, Any] = {"input": str(directory / "in"), "output": str(directory / "out")}
    before = sorted(directory.rglob("*"))
    outcome = dry_run(BatchSettings(bundle=bundle, **(values | told)))
    assert sorted(directory.rglob("*")) == before
    return outcome


def put(directory: Path, **files: str | bytes) -> None:
    """Write files of the input; `__` in a name is a dot."""
    storage = open_storage(str(directory / "in"))
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        storage.write(name.replace("__", "."), data)


def table(rows: int, **changes: Any) -> pa.Table:
    """Valid records of the toy model with ids."""
    found = [{"record_id": str(i), **record} for i, record in enumerate(records(rows))]
    names = ["record_id", "x", "n", "flag", "name"]
    columns: dict[str, Any] = {name: [row[name] for row in found] for name in names}
    return pa.table({k: v for k, v in (columns | changes).items() if v is not None})


def test_a_good_input(bundle: Path, tmp_path: Path) -> None:
    """Files, bytes, rows where the format says so, what is left out, and the sample."""
    packed = gzip.compress(GOOD.encode())
    put(tmp_path, a__csv=GOOD, b__csv__gz=packed, readme__txt="", _SUCCESS="")
    pq.write_table(table(1500), tmp_path / "in" / "c.parquet")
    size = sum(
        (tmp_path / "in" / name).stat().st_size for name in ("a.csv", "b.csv.gz", "c.parquet")
    )
    outcome = looked_at(bundle, tmp_path)
    assert outcome.text.splitlines() == [
        f"dry run of file://{tmp_path}/in: nothing was written",
        f"to be read: 3 files, {size:,} bytes, 1,500 rows in 1 Parquet file",
        "left out: 1 file (a name begins with _ or .): _SUCCESS",
        "left out: 1 file (the ending stands for no format): readme.txt",
        "sampled: the first 1,000 rows of 3 files: 1,010 rows, 1,010 valid, 0 rejected",
    ]
    assert outcome.failure is None


def test_rows_that_are_not_valid(bundle: Path, tmp_path: Path) -> None:
    """Counts by code and by column; no value of a record, not even in part."""
    put(tmp_path, a__csv=GOOD + "r9,SECRET,3,true,senior\nr10,1.5,3,SECRET,senior\nr11,1.5\n")
    outcome = looked_at(bundle, tmp_path)
    assert outcome.text.splitlines()[2:] == [
        "sampled: the first 1,000 rows of 1 file: 8 rows, 5 valid, 3 rejected",
        "  rejected: wrong_type 2, malformed 1",
        "  'x' is wrong_type in 1 row",
        "  'flag' is wrong_type in 1 row",
    ]
    assert outcome.failure is None
    assert "SECRET" not in outcome.text


def test_columns_by_other_names(bundle: Path, tmp_path: Path) -> None:
    """A header that differs in case, spaces or underscores gets a proposal, which then works."""
    put(tmp_path, a__csv=GOOD.replace("flag,name", "Fl_ag,NA ME"))
    outcome = looked_at(bundle, tmp_path)
    assert outcome.failure == "none of the sampled rows is valid"
    *_, missing, unknown, proposal = outcome.text.splitlines()
    assert missing == "  missing columns: flag (in 1 file), name (in 1 file)"
    assert unknown == "  unknown columns: Fl_ag (in 1 file), NA ME (in 1 file)"
    assert proposal == """perhaps: --columns '{"Fl_ag": "flag", "NA ME": "name"}'"""
    columns = json.loads(proposal.removeprefix("perhaps: --columns ").strip("'"))
    again = looked_at(bundle, tmp_path, columns=columns)
    assert (again.failure, "5 valid" in again.text) == (None, True)


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "jsonl"])
def test_an_id_column_by_another_name(bundle: Path, tmp_path: Path, kind: str) -> None:
    """It is proposed in every format, whether its absence makes the file unreadable or each row."""
    directory = tmp_path / "in"
    directory.mkdir()
    if kind == "parquet":
        renamed = table(5).rename_columns(["Record ID", "x", "n", "flag", "name"])
        pq.write_table(renamed, directory / "a.parquet")
    elif kind == "jsonl":
        lines = [json.dumps({"Record ID": str(i), **row}) for i, row in enumerate(records(5))]
        (directory / "a.jsonl").write_text("\n".join(lines))
    else:
        text = GOOD.replace("record_id", "Record ID").encode()
        (directory / f"a.{kind}").write_bytes(gzip.compress(text) if kind == "csv.gz" else text)
    outcome = looked_at(bundle, tmp_path)
    assert outcome.failure is not None
    assert outcome.text.endswith("""perhaps: --columns '{"Record ID": "record_id"}'""")
    again = looked_at(bundle, tmp_path, columns={"Record ID": "record_id"})
    assert (again.failure, "5 valid" in again.text) == (None, True)


def test_types_that_cannot_fit(bundle: Path, tmp_path: Path) -> None:
    """Said of all Parquet files, whether they are sampled or not."""
    (tmp_path / "in").mkdir()
    for number in range(25):
        wrong = {"flag": ["SECRET"] * 3} if number < 24 else {}
        pq.write_table(table(3, **wrong), tmp_path / "in" / f"{number:02d}.parquet")
    outcome = looked_at(bundle, tmp_path)
    lines = outcome.text.splitlines()
    assert "sampled: the first 1,000 rows of 20 of 25 files: 60 rows, 3 valid, 57 rejected" in lines
    assert (
        "  no value can fit, in 24 Parquet files: column 'flag' has the type string, and the model "
        "takes boolean"
    ) in lines
    assert outcome.failure is None


def test_files_that_cannot_be_read(bundle: Path, tmp_path: Path) -> None:
    """Each is named with its error, and the dry run fails; the others are sampled all the same."""
    put(tmp_path, a__csv=GOOD, b__csv=b"\x1f\x8b broken", c__parquet=b"no Parquet")
    outcome = looked_at(bundle, tmp_path)
    lines = [line for line in outcome.text.splitlines() if line.startswith("cannot be read: ")]
    assert [Path(line.split()[3].rstrip(":")).name for line in lines] == ["c.parquet", "b.csv"]
    assert outcome.failure == "2 of 3 files cannot be read"
    assert "1 of 3 files: 5 rows, 5 valid" in outcome.text


def test_many_errors_are_counted(bundle: Path, tmp_path: Path) -> None:
    """The first ten are told."""
    put(tmp_path, **{f"{i:02d}__parquet": b"x" for i in range(30)})
    outcome = looked_at(bundle, tmp_path)
    assert outcome.text.count("cannot be read: file://") == 10
    assert "cannot be read: 20 more files" in outcome.text
    assert outcome.failure == "30 of 30 files cannot be read"


def test_partitions_and_what_was_scored_before(bundle: Path, tmp_path: Path) -> None:
    """What a run would leave out is told, and nothing of it is opened."""
    storage = open_storage(str(tmp_path / "in"))
    body = GOOD.replace(",name", "").replace(",senior", "")
    for place in ("day=1/name=senior", "day=2/name=senior", "day=2/name=lead"):
        storage.write(f"{place}/a.csv", body.encode())
    output = open_storage(str(tmp_path / "out"))
    scored = [
        InputReport(f.path, "", f.size, f.etag, 5, 5, 0, 0.0)
        for f in storage.list()
        if f.path.startswith("day=1")
    ]
    remember(output, str(tmp_path / "in"), _manifest(scored))
    outcome = looked_at(bundle, tmp_path, incremental="partitions")
    assert outcome.text.splitlines()[1:] == [
        f"to be read: 2 files, {2 * len(body):,} bytes",
        "  partitioned by day, name: 2 partitions",
        "left out: 1 file (scored before, --incremental partitions): day=1/name=senior/a.csv",
        "sampled: the first 1,000 rows of 2 files: 10 rows, 10 valid, 0 rejected",
    ]
    full = looked_at(bundle, tmp_path, incremental="partitions", full=True)
    assert "3 partitions" in full.text


def test_nothing_new_is_no_failure(bundle: Path, tmp_path: Path) -> None:
    """A run would have no records, and be complete."""
    put(tmp_path, a__csv=GOOD)
    [file] = open_storage(str(tmp_path / "in")).list()
    scored = [InputReport(file.path, "", file.size, file.etag, 5, 5, 0, 0.0)]
    output = open_storage(str(tmp_path / "out"))
    remember(output, str(tmp_path / "in"), _manifest(scored))
    outcome = looked_at(bundle, tmp_path, incremental="files")
    assert outcome.failure is None
    assert "to be read: 0 files, 0 bytes" in outcome.text
    assert "sampled" not in outcome.text


def _manifest(inputs: list[InputReport]) -> RunManifest:
    return RunManifest(
        format=2,
        run_id="r",
        outcome="complete",
        model=ModelReport("toy", "7", "0" * 64),
        record_id_column="record_id",
        chunk_records=10,
        event_time="",
        started_at="",
        finished_at="",
        seconds=0.0,
        totals=Counts(),
        rejections={},
        inputs=inputs,
    )


def test_a_delta_table(bundle: Path, tmp_path: Path) -> None:
    """Its version and its partitions; the partition column is a feature."""
    write_deltalake(tmp_path / "in", table(6), partition_by=["name"])
    write_deltalake(tmp_path / "in", table(6), mode="overwrite")
    outcome = looked_at(bundle, tmp_path)
    assert "\n  version 1 of a Delta table\n" in outcome.text
    assert "6 rows, 6 valid, 0 rejected" in outcome.text
    assert outcome.failure is None


def test_an_input_that_is_not_there(bundle: Path, tmp_path: Path) -> None:
    """Is an error, as for a run."""
    with pytest.raises(InputError, match="does not exist or holds no files"):
        looked_at(bundle, tmp_path)


def test_the_command(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prints what it found and ends with 0, or with 1 and the reason."""
    put(tmp_path, a__csv=GOOD)
    flags = ["--bundle", str(bundle), "--output", str(tmp_path / "out"), "--dry-run"]
    assert main([*flags, "--input", str(tmp_path / "in")]) == 0
    assert "5 rows, 5 valid" in capsys.readouterr().out
    put(tmp_path, a__csv=GOOD.replace("1.5", "?"))
    assert main([*flags, "--input", f"{tmp_path}/in/*.csv"]) == 1
    said = capsys.readouterr()
    assert "'x' is wrong_type in 5 rows" in said.out
    assert "none of the sampled rows is valid" in said.err
    assert not (tmp_path / "out").exists()


def test_samples_are_spread_over_the_files() -> None:
    """The first and the last are among them."""
    assert evenly(range(3), 5) == [0, 1, 2]
    assert evenly(range(100), 5) == [0, 24, 49, 74, 99]


def test_only_what_is_clear_is_proposed() -> None:
    """Not where two columns would get one name, or one column could be two."""
    assert suggested(["a_b"], ["A B", "ab"]) == {}
    assert suggested(["a_b", "ab"], ["A B"]) == {}
    assert suggested(["a_b", "a_b"], ["A-B", "c"]) == {"A-B": "a_b"}
