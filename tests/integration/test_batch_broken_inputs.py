"""Twelve kinds of broken input: what becomes of each, and of the files beside it."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support import toy
from tests.support.batch_runs import BatchRun, wait_for
from tests.support.measured import measured

GOOD = 7
ROWS = 30


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy bundle."""
    return toy.make_bundle(tmp_path_factory.mktemp("bundle"), reference=0)


Row = dict[str, Any]


def rows(start: int = 0, count: int = ROWS) -> list[Row]:
    """Valid records with ids."""
    found = toy.records(start + count)[start:]
    return [{"record_id": f"e{start + i}", **row} for i, row in enumerate(found)]


def as_parquet(records: list[Row]) -> bytes:
    """Typed columns."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), sink)
    return sink.getvalue()


def as_csv(records: list[Row]) -> bytes:
    """A header and a line for each."""
    lines = [",".join(records[0])]
    lines += [
        ",".join(str(v).lower() if v is True else str(v) for v in r.values()) for r in records
    ]
    return ("\n".join(lines).replace("False", "false") + "\n").encode()


@pytest.fixture
def run(bundle: Path, tmp_path: Path) -> BatchRun:
    """A run over seven good files, to which each test adds a broken one."""
    source = tmp_path / "in"
    source.mkdir()
    for number in range(GOOD):
        name = source / f"good-{number}.parquet"
        name.write_bytes(as_parquet(rows(number * ROWS)))
    return BatchRun(bundle, source, tmp_path)


def outcome(run: BatchRun, name: str, code: int, *flags: str) -> dict[str, Any]:
    """Do the run; the manifest's entry of the broken file. The good files are unharmed."""
    assert run.complete(*flags) == code, run.said()
    manifest = run.manifest()
    assert manifest["outcome"] == ("failed" if code else "complete")
    by_name = {entry["file"]: entry for entry in manifest["inputs"]}
    for number in range(GOOD):
        entry = by_name[f"good-{number}.parquet"]
        assert (entry["scored"], entry["rejected"], entry["error"]) == (ROWS, 0, None)
    found: dict[str, Any] = by_name[name]
    assert found["scored"] + found["rejected"] == found["received"]
    assert manifest["totals"]["scored"] == GOOD * ROWS + found["scored"]
    if code:
        assert name in manifest["failure"]
        assert name in run.said()
    return found


def rejections(run: BatchRun) -> list[tuple[int, str]]:
    """Row and code of everything that was rejected."""
    found = [pq.read_table(path) for path in sorted(run.directory.glob("rejected/*.parquet"))]
    return [(r["row"], r["code"]) for r in pa.concat_tables(found).to_pylist()]


def test_a_truncated_parquet_file(run: BatchRun) -> None:
    """The file fails and says so, the others are scored; repaired, only it is done."""
    whole = as_parquet(rows(500))
    (run.source / "broken.parquet").write_bytes(whole[: len(whole) // 2])
    found = outcome(run, "broken.parquet", 1)
    assert "damaged or cut" in found["error"]
    assert found["received"] == 0
    before = {path: path.stat().st_mtime_ns for path in run.directory.glob("scores/*")}
    (run.source / "broken.parquet").write_bytes(whole)
    assert outcome(run, "broken.parquet", 0)["scored"] == ROWS
    after = {path: path.stat().st_mtime_ns for path in run.directory.glob("scores/*")}
    assert len(after) == len(before) + 1
    changed = [path for path, time in before.items() if after.get(path) != time]
    assert not changed


def test_a_parquet_file_that_is_damaged_in_its_middle(run: BatchRun) -> None:
    """What could be read of it is scored; it fails all the same."""
    sink = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist(rows(500, 4_000)), sink, row_group_size=1_000, compression="gzip"
    )
    raw = bytearray(sink.getvalue())
    at = len(raw) * 3 // 5
    raw[at : at + 2_000] = bytes(2_000)
    (run.source / "broken.parquet").write_bytes(bytes(raw))
    found = outcome(run, "broken.parquet", 1, "--chunk-records=500")
    assert "damaged or cut" in found["error"]
    assert 0 < found["received"] < 4_000


def test_a_wrong_schema_in_file_seven(run: BatchRun) -> None:
    """Every row of it is rejected with the field and the rule; the run is complete."""
    wrong = [{"record_id": r["record_id"], "x": str(r["x"]), "n": r["n"]} for r in rows(500)]
    (run.source / "good-6b.parquet").write_bytes(as_parquet(wrong))
    found = outcome(run, "good-6b.parquet", 0)
    assert (found["scored"], found["rejected"]) == (0, ROWS)
    assert set(rejections(run)) == {(row, "wrong_type") for row in range(1, ROWS + 1)}


@pytest.mark.parametrize("name", ["broken.csv", "broken.jsonl"])
def test_an_empty_text_file(run: BatchRun, name: str) -> None:
    """It has no rows, which is no error."""
    (run.source / name).write_bytes(b"")
    assert outcome(run, name, 0)["received"] == 0


def test_an_empty_parquet_file(run: BatchRun) -> None:
    """Zero bytes are no Parquet: an upload that failed must not pass for a day without people."""
    (run.source / "broken.parquet").write_bytes(b"")
    assert "damaged or cut" in outcome(run, "broken.parquet", 1)["error"]


def test_a_file_with_nothing_but_a_header(run: BatchRun) -> None:
    """No rows, no error."""
    (run.source / "broken.csv").write_bytes(b"record_id,x,n,flag,name\n")
    assert outcome(run, "broken.csv", 0)["received"] == 0


def test_mixed_types_in_a_column(run: BatchRun) -> None:
    """Numbers that are words reject their rows, and no others."""
    lines = as_csv(rows(500)).splitlines()
    lines[5] = b"e504,n/a,3,true,lead"
    lines[9] = b"e508,1.5,many,true,lead"
    (run.source / "broken.csv").write_bytes(b"\n".join(lines))
    found = outcome(run, "broken.csv", 0)
    assert (found["scored"], found["rejected"]) == (ROWS - 2, 2)
    assert rejections(run) == [(5, "wrong_type"), (9, "wrong_type")]


def test_rows_that_are_not_utf8(run: BatchRun) -> None:
    """The row is rejected as malformed, its neighbours are scored."""
    lines = as_csv(rows(500)).splitlines()
    lines[3] = b"e502,1.5,3,true,sen\xefor"
    (run.source / "broken.csv").write_bytes(b"\n".join(lines))
    assert outcome(run, "broken.csv", 0)["rejected"] == 1
    assert rejections(run) == [(3, "malformed")]


def test_a_line_of_a_gigabyte(run: BatchRun) -> None:
    """It is rejected as too large, without ever being in memory."""
    lines = as_csv(rows(500)).splitlines(keepends=True)
    with (run.source / "broken.csv").open("wb") as file:
        file.writelines(lines[:4])
        for _ in range(1_000):
            file.write(b"x" * 1_000_000)
        file.write(b"\n")
        file.writelines(lines[4:])
    command = [
        sys.executable, "-m", "batch_scorer", f"--bundle={run.bundle}", f"--input={run.source}",
        f"--output={run.root}/out", f"--storage-url={run.root}/store", "--run-id=r",
    ]  # fmt: skip
    found = measured(command, run.root / "log", os.environ)
    assert found.code == 0
    assert found.peak_bytes < 600e6
    assert rejections(run) == [(4, "too_large")]
    assert run.manifest()["totals"]["scored"] == (GOOD + 1) * ROWS


def test_a_file_that_vanishes(run: BatchRun) -> None:
    """Planned, but gone when a later attempt looks: it fails, the others are scored."""
    gone = run.source / "broken.parquet"
    gone.write_bytes(as_parquet(rows(500, 3_000)))
    process = run.start("--chunk-records=1")
    wait_for(lambda: any(run.directory.glob("_run/units/*")))
    process.kill()
    process.wait()
    gone.unlink()
    found = outcome(run, "broken.parquet", 1, "--chunk-records=1")
    assert "does not exist any more" in found["error"]


def test_an_output_that_cannot_be_written(run: BatchRun) -> None:
    """Terminal, and said before anything is read: no waiting makes a directory writable."""
    output = run.root / "out"
    output.mkdir()
    output.chmod(0o500)
    # Root may write anywhere unless it gives that up.
    plain = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    command = [
        *(plain if os.geteuid() == 0 else ()),
        sys.executable, "-m", "batch_scorer", f"--bundle={run.bundle}", f"--input={run.source}",
        f"--output={output}", f"--storage-url={run.root}/store", "--run-id=r",
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 1, found.stderr
    assert "permission denied" in found.stderr
    assert "try again" not in found.stderr


def test_a_missing_feature_column(run: BatchRun) -> None:
    """Each row lacks the field and is rejected for it."""
    missing = [{k: v for k, v in r.items() if k != "n"} for r in rows(500)]
    (run.source / "broken.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in missing))
    assert outcome(run, "broken.jsonl", 0)["rejected"] == ROWS
    assert {code for _, code in rejections(run)} == {"missing_field"}


@pytest.mark.parametrize(
    ("name", "encode"), [("broken.csv", as_csv), ("broken.parquet", as_parquet)]
)
def test_a_missing_id_column(
    run: BatchRun, name: str, encode: Callable[[list[Row]], bytes]
) -> None:
    """Nothing of the file could be told apart: it fails, and the error names the setting."""
    nameless = [{k: v for k, v in r.items() if k != "record_id"} for r in rows(500)]
    (run.source / name).write_bytes(encode(nameless))
    assert "--record-id-column" in outcome(run, name, 1)["error"]


def test_ids_that_occur_twice(run: BatchRun) -> None:
    """Each row is scored and told from the other by its file and row."""
    (run.source / "broken.parquet").write_bytes(as_parquet([*rows(0, 5), *rows(0, 5)]))
    assert outcome(run, "broken.parquet", 0)["scored"] == 10
    parts = [pq.read_table(p) for p in run.directory.glob("scores/*.parquet")]
    found = pa.concat_tables(parts).to_pylist()
    places = [(r["file"], r["row"]) for r in found if r["record_id"] == "e3"]
    assert sorted(places) == [("broken.parquet", 4), ("broken.parquet", 9), ("good-0.parquet", 4)]


def test_all_rows_bad(run: BatchRun) -> None:
    """More than the limit is rejected: the run fails, with everything written that could be."""
    bad = [{**r, "n": "many"} for r in rows(500, 3 * GOOD * ROWS)]
    (run.source / "broken.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in bad))
    assert run.complete() == 1
    manifest = run.manifest()
    assert manifest["outcome"] == "failed"
    assert "--max-rejected-share" in manifest["failure"]
    assert manifest["totals"]["scored"] == GOOD * ROWS
    assert manifest["rejections"] == {"wrong_type": 3 * GOOD * ROWS}
    assert run.complete("--max-rejected-share=0.8") == 0
    assert run.manifest()["outcome"] == "complete"


def test_nothing_of_a_record_is_said(run: BatchRun) -> None:
    """Neither output nor logs of a run with every kind of bad row repeat a value."""
    lines = as_csv(rows(500)).splitlines()
    lines[3] = b"e502,very-secret-1,3,true,very-secret-2,very-secret-3"
    lines[4] = b"e503,very-secret-4,very-secret-5,maybe,very-secret-6"
    (run.source / "broken.csv").write_bytes(b"\n".join(lines))
    assert outcome(run, "broken.csv", 0)["rejected"] == 2
    said = run.said() + (run.root / "stdout").read_text()
    said += (run.directory / "manifest.json").read_text()
    said += (run.directory / "report.html").read_text()
    assert "very-secret" not in said
