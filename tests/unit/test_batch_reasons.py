"""Reasons in the part files and the manifest of a batch run, and its threads."""

import io
import json
import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.parquet_log import ParquetInferenceLog
from adapters.storage import Storage, open_storage
from batch_scorer.inputs import find_inputs
from batch_scorer.job import available_cpus, run_job
from batch_scorer.progress import show_progress
from batch_scorer.run import Run, RunSpec
from batch_scorer.settings import BatchSettings
from local_stack.lanes import read_batch_run
from scoring.errors import ReasonsUnavailable
from scoring.model import ModelBundle
from scoring.score import score
from scoring.validation import validate_rows
from tests.support.reasons import expected_reasons, explained
from tests.support.toy import NOW, load_toy, make_bundle, records

ROWS = [{**row, "record_id": f"r{i}"} for i, row in enumerate(records(10))]
LINES = "".join(f"{json.dumps(row)}\n" for row in [*ROWS[:4], {"record_id": "bad"}, *ROWS[4:]])


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


def run(model: ModelBundle, root: Path, reasons: int, text: str = LINES) -> Storage:
    """One run over a file of that text; returns the output."""
    open_storage(str(root)).write("in/a.jsonl", text.encode())
    source, output = open_storage(str(root / "in")), open_storage(str(root / "out"))
    spec = RunSpec("r", "record_id", 3, NOW, NOW, reasons)
    log = ParquetInferenceLog(open_storage(str(root / "store")), model)
    files = find_inputs(source)
    with show_progress(files, lambda: NOW) as progress:
        whole = Run(spec, model, source, output, log, lambda: NOW, lambda: False)
        whole.score(files, progress)
    return output


def parts(output: Storage) -> list[bytes]:
    """The part files with scores."""
    return [output.read(info.path) for info in output.list("run=r/scores")]


def test_scores_have_reasons_when_asked_for(toy: ModelBundle, tmp_path: Path) -> None:
    """As many as asked for, the strongest first; read back they are what the API answers."""
    model = explained(toy)
    output = run(model, tmp_path, 3)
    found, manifest = read_batch_run(tmp_path / "out" / "run=r")
    assert {i: p["reasons"] for i, p in found.items()} == {
        row["record_id"]: expected_reasons(row, 3) for row in ROWS
    }
    plain = [{k: v for k, v in row.items() if k != "record_id"} for row in ROWS]
    valid = validate_rows(model.schema, plain, [row["record_id"] for row in ROWS])
    answered = json.loads(json.dumps(score(model, valid.batch, 3).predictions()))
    assert list(found.values()) == answered
    assert manifest["reasons"] == 3
    schema = pq.read_schema(io.BytesIO(parts(output)[0]))
    assert schema.names[-3:] == ["reasons", "file", "row"]
    assert schema.field("reasons").type.value_type == pa.struct(
        [("feature", pa.string()), ("contribution", pa.float64())]
    )


def test_the_same_run_gives_the_same_bytes(toy: ModelBundle, tmp_path: Path) -> None:
    """Reasons are part of the content that a repetition gives again."""
    first = parts(run(explained(toy), tmp_path / "a", 2))
    assert first == parts(run(explained(toy), tmp_path / "b", 2))
    assert first != parts(run(explained(toy), tmp_path / "c", 1))


@pytest.mark.parametrize(("reasons", "has"), [(0, False), (2, True)])
def test_the_column_is_there_when_asked_for(
    toy: ModelBundle, tmp_path: Path, reasons: int, has: bool
) -> None:
    """In the empty part of a run without scores as well."""
    for name, text in (("some", LINES), ("none", "{}\n")):
        for part in parts(run(explained(toy), tmp_path / name, reasons, text)):
            assert ("reasons" in pq.read_schema(io.BytesIO(part)).names) is has


def settings(root: Path, **options: Any) -> BatchSettings:
    """Settings of a run below `root`."""
    open_storage(str(root)).write("in/a.jsonl", LINES.encode())
    values: dict[str, Any] = {
        "bundle": make_bundle(root / "bundle", reference=0),
        "input": str(root / "in"),
        "output": str(root / "out"),
        "storage_url": str(root / "store"),
        "run_id": "r",
    }
    return BatchSettings(**(values | options))


def test_a_model_without_reasons_ends_the_run_before_it_begins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A terminal error that says why; no file is read, and nothing is written."""
    caplog.set_level(logging.INFO)
    with pytest.raises(ReasonsUnavailable, match="the toy gives none"):
        run_job(settings(tmp_path, reasons=1), lambda: NOW)
    assert caplog.records == []
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "store").exists()


def test_the_start_names_model_and_threads(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One structured line with everything that identifies the model; threads default to CPUs."""
    caplog.set_level(logging.INFO)
    for number, threads in enumerate((None, 3)):
        run_job(settings(tmp_path, run_id=f"r{number}", threads=threads), lambda: NOW)
    lines = [vars(r) for r in caplog.records if r.getMessage() == "run started"]
    assert [line["threads"] for line in lines] == [available_cpus(), 3]
    line = lines[0]
    assert (line["model"], line["version"], line["alias"]) == ("toy", "7", None)
    assert (line["source_digest"], line["backend"]) == ("0" * 64, "onnx")
    assert len(line["digest"]) == 64
    assert line["reasons"] == 0
    assert available_cpus() >= 1


def test_threads_do_not_change_a_bit(tmp_path: Path) -> None:
    """A chunk large enough to be shared by threads gives the same part files."""
    rows = [{**row, "record_id": f"r{i}"} for i, row in enumerate(records(9000))]
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    written: list[list[bytes]] = []
    for threads in (1, 3):
        root = tmp_path / str(threads)
        options = settings(root, threads=threads, chunk_records=9000)
        open_storage(str(root)).write("in/a.jsonl", text.encode())
        run_job(options, lambda: NOW)
        written.append(parts(open_storage(str(root / "out"))))
    assert written[0] == written[1]
