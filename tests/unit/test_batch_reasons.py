"""Reasons in the part files and the manifest of a batch run, and its threads."""

import io
import json
import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.storage import open_storage
from batch_scorer.attempt import available_threads
from batch_scorer.job import run_job
from batch_scorer.settings import BatchSettings
from local_stack.lanes import read_batch_run
from scoring.errors import ReasonsUnavailable
from scoring.model_loader import load_model
from scoring.score import score
from scoring.validation import validate_rows
from tests.support.reasons import add_linear
from tests.support.toy import NOW, make_bundle, records

ROWS = [{**row, "record_id": f"r{i}"} for i, row in enumerate(records(10))]
LINES = "".join(f"{json.dumps(row)}\n" for row in [*ROWS[:4], {"record_id": "bad"}, *ROWS[4:]])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy bundle with reasons by a line through its numbers."""
    made = make_bundle(tmp_path_factory.mktemp("toy") / "bundle", reference=0)
    return add_linear(made, 0.5)


def settings(root: Path, text: str = LINES, **options: Any) -> BatchSettings:
    """Settings of a run below `root` over a file of that text."""
    open_storage(str(root)).write("in/a.jsonl", text.encode())
    values: dict[str, Any] = {
        "input": str(root / "in"),
        "output": str(root / "out"),
        "storage_url": str(root / "store"),
        "run_id": "r",
        "threads": 2,
    }
    if "bundle" not in options:
        options["bundle"] = make_bundle(root / "bundle", reference=0)
    return BatchSettings(**(values | options))


def parts(options: BatchSettings) -> list[bytes]:
    """The part files with scores of a run with these settings."""
    run_job(options, lambda: NOW)
    output = open_storage(options.output)
    return [output.read(info.path) for info in output.list("run=r/scores")]


def test_scores_have_reasons_when_asked_for(bundle: Path, tmp_path: Path) -> None:
    """As many as asked for, the strongest first; read back they are what the API answers."""
    written = parts(settings(tmp_path, bundle=bundle, reasons=2, chunk_records=3))
    found, manifest = read_batch_run(tmp_path / "out" / "run=r")
    model = load_model(bundle, NOW)
    plain = [{k: v for k, v in row.items() if k != "record_id"} for row in ROWS]
    valid = validate_rows(model.schema, plain, [row["record_id"] for row in ROWS])
    answered = json.loads(json.dumps(score(model, valid.batch, 2).predictions()))
    assert list(found.values()) == answered
    assert {len(row["reasons"]) for row in answered} == {2}
    assert manifest["reasons"] == 2
    schema = pq.read_schema(io.BytesIO(written[0]))
    assert schema.names[-3:] == ["reasons", "file", "row"]
    assert schema.field("reasons").type.value_type == pa.struct(
        [("feature", pa.string()), ("contribution", pa.float64())]
    )


def test_the_same_run_gives_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    """Reasons are part of the content that a repetition gives again."""
    first = parts(settings(tmp_path / "a", bundle=bundle, reasons=2))
    assert first == parts(settings(tmp_path / "b", bundle=bundle, reasons=2))
    assert first != parts(settings(tmp_path / "c", bundle=bundle, reasons=1))


@pytest.mark.parametrize(("reasons", "has"), [(0, False), (2, True)])
def test_the_column_is_there_when_asked_for(
    bundle: Path, tmp_path: Path, reasons: int, has: bool
) -> None:
    """In the empty part of a run without scores as well."""
    for name, text in (("some", LINES), ("none", "{}\n")):
        options = settings(
            tmp_path / name, text, bundle=bundle, reasons=reasons, max_rejected_share=1.0
        )
        for part in parts(options):
            assert ("reasons" in pq.read_schema(io.BytesIO(part)).names) is has


def test_a_model_without_reasons_ends_the_run_before_it_begins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A terminal error that says why; nothing is scored, and nothing is written."""
    caplog.set_level(logging.INFO)
    with pytest.raises(ReasonsUnavailable, match="the toy gives none"):
        run_job(settings(tmp_path, reasons=1), lambda: NOW)
    assert "run started" not in [record.getMessage() for record in caplog.records]
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "store").exists()


def test_the_start_names_model_and_threads(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One structured line with everything that identifies the model; threads default to CPUs."""
    caplog.set_level(logging.INFO)
    chosen = [settings(tmp_path, run_id=f"r{n}", threads=t) for n, t in enumerate((None, 3))]
    for options in chosen:
        run_job(options, lambda: NOW)
    lines = [vars(r) for r in caplog.records if r.getMessage() == "run started"]
    assert [line["threads"] for line in lines] == [available_threads(chosen[0]), 3]
    line = lines[0]
    assert (line["model"], line["version"], line["alias"]) == ("toy", "7", None)
    assert (line["source_digest"], line["backend"]) == ("0" * 64, "onnx")
    assert len(line["digest"]) == 64
    assert line["reasons"] == 0
    assert available_threads(chosen[0]) >= 1


def test_threads_do_not_change_a_bit(tmp_path: Path) -> None:
    """Units large enough to be shared by threads give the same part files."""
    rows = [{**row, "record_id": f"r{i}"} for i, row in enumerate(records(9000))]
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    one, three = (
        parts(settings(tmp_path / str(threads), text, threads=threads, chunk_records=4500))
        for threads in (1, 3)
    )
    assert len(one) == 2
    assert one == three
