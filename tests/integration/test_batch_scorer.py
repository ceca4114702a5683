"""Whole batch runs on real files, in process and as the command people call."""

import io
import json
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from adapters.storage import Storage, open_storage
from batch_scorer.job import run_job
from batch_scorer.outcome import RunFailed
from batch_scorer.settings import BatchSettings
from scoring.errors import ConfigurationError
from scoring.manifest import (
    MANIFEST_NAME,
    BackendSpec,
    ColumnSpec,
    OutputColumn,
    OutputSpec,
    encode_manifest,
    file_digest,
    read_manifest,
    sealed,
)
from tests.support import toy
from tests.support.batch_files import as_csv, as_floats, as_jsonl, as_parquet, with_ids

AZURITE = "TRILANE_TEST_AZURITE_CONNECTION_STRING"


def job(bundle: Path, root: str, source: str = "in", **options: Any) -> str:
    """One run below `root` with the clock standing still; returns the summary."""
    values: dict[str, Any] = {
        "bundle": bundle,
        "input": f"{root}/{source}",
        "output": f"{root}/out",
        "storage_url": f"{root}/store",
        "run_id": "r",
        "max_rejected_share": 1.0,
    }
    outcome = run_job(BatchSettings(**(values | options)), lambda: toy.NOW)
    if outcome.failure is not None:
        raise RunFailed(outcome.failure)
    return outcome.text


def table(storage: Storage, prefix: str) -> pa.Table:
    """All Parquet files under a prefix as one table, in the order of their paths."""
    files = [info.path for info in storage.list(prefix)]
    return pa.concat_tables([pq.read_table(io.BytesIO(storage.read(path))) for path in files])


def scores(root: str) -> list[dict[str, Any]]:
    """The rows of all score parts."""
    rows: list[dict[str, Any]] = table(open_storage(f"{root}/out"), "run=r/scores").to_pylist()
    return rows


def rejected(root: str) -> list[dict[str, Any]]:
    """The rows of all rejection parts."""
    rows: list[dict[str, Any]] = table(open_storage(f"{root}/out"), "run=r/rejected").to_pylist()
    return rows


def manifest(root: str) -> dict[str, Any]:
    """The run manifest."""
    decoded = json.loads(open_storage(f"{root}/out").read("run=r/manifest.json"))
    assert isinstance(decoded, dict)
    return decoded


ANY_ROW = st.fixed_dictionaries(
    {
        "record_id": st.none() | st.text("ab1é,\"' \n", min_size=1, max_size=300),
        "x": st.none() | st.floats(),
        "n": st.none() | st.integers(-9, 9).map(float) | st.floats(),
        "flag": st.none() | st.booleans(),
        "name": st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=9),
    }
)
GOOD_ROW = st.fixed_dictionaries(
    {
        "record_id": st.text("abc123", min_size=1),
        "x": st.floats(-1e6, 1e6),
        "n": st.integers(-1000, 1000).map(float),
        "flag": st.booleans(),
        "name": st.sampled_from(toy.NAMES),
    }
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(GOOD_ROW | ANY_ROW, max_size=12), chunk=st.integers(1, 13))
def test_formats_and_chunks_give_the_same_bits(
    bundle: Path, rows: list[dict[str, Any]], chunk: int
) -> None:
    """CSV, JSON Lines and Parquet of the same records are scored and rejected alike, bit for bit,
    in chunks of any size.
    """
    outcomes = []
    files = {"in.csv": as_csv(rows), "in.jsonl": as_jsonl(rows), "in.parquet": as_parquet(rows)}
    for name, data in files.items():
        for size in (chunk, 100):
            root = f"memory://{uuid.uuid4().hex}"
            open_storage(root).write(name, data)
            job(bundle, root, name, chunk_records=size)
            drop = {"file"}
            scored = [{k: v for k, v in r.items() if k not in drop} for r in scores(root)]
            refused = [{k: v for k, v in r.items() if k not in drop} for r in rejected(root)]
            assert len(scored) + len(refused) == len(rows)
            outcomes.append((repr(scored), repr(refused)))
            for info in open_storage(root).list():
                open_storage(root).delete(info.path)
    assert len(set(outcomes)) == 1


def test_scores_are_those_of_the_model(bundle: Path, tmp_path: Path) -> None:
    """Every record of several files gets its own score, next to its id, file and row."""
    rows = as_floats(toy.records(300))
    files = {"a.csv": as_csv, "b/c.jsonl": as_jsonl, "d.parquet": as_parquet}
    root = str(tmp_path)
    for number, (name, encode) in enumerate(files.items()):
        part = with_ids(rows)[number * 100 : number * 100 + 100]
        open_storage(root).write(f"in/{name}", encode(part))
    job(bundle, root, chunk_records=33)
    found = scores(root)
    assert [r["record_id"] for r in found] == [str(i) for i in range(1, 301)]
    assert [(r["file"], r["row"]) for r in found] == [(f, i) for f in files for i in range(1, 101)]
    for result, row in zip(found, rows, strict=True):
        assert result["score"] == pytest.approx(toy.expected_score(row), abs=1e-12)
        assert result["label"] == ("Yes" if result["score"] >= 0.5 else "No")
        assert result["outlier"] == (result["outlier_score"] > 0.95)
    assert rejected(root) == []


def test_the_manifest_says_what_was_done(bundle: Path, tmp_path: Path) -> None:
    """Files with size and tag, counts per file and in all, the model, the codes and the times."""
    root = str(tmp_path)
    good = with_ids(toy.records(5))
    open_storage(root).write("in/a.jsonl", as_jsonl([*good, {"record_id": "6"}]) + b"{\n\n{\n")
    open_storage(root).write("in/b.csv", b"")
    summary = job(bundle, root)
    found = manifest(root)
    model = read_manifest(bundle)
    assert found["outcome"] == "complete"
    assert found["model"] == {
        "name": "toy",
        "version": "7",
        "digest": model.digest,
        "alias": None,
        "source_digest": model.source_digest,
    }
    assert found["reasons"] == 0
    assert found["totals"] == {"received": 8, "scored": 5, "rejected": 3}
    assert found["rejections"] == {"malformed": 2, "missing_field": 1}
    first, second = found["inputs"]
    info = open_storage(root).list("in/a.jsonl")[0]
    assert (first["url"], first["size"], first["etag"]) == (
        f"file://{root}/in/a.jsonl", info.size, info.etag
    )  # fmt: skip
    assert (first["received"], first["scored"], first["rejected"]) == (8, 5, 3)
    assert (second["size"], second["received"]) == (0, 0)
    assert found["started_at"] == toy.NOW.isoformat()
    assert found["event_time"] == toy.NOW.isoformat()
    assert "8 received, 5 scored, 3 rejected" in summary
    assert "malformed 2, missing_field 1" in summary


def test_bad_records_are_rejected_and_their_neighbours_scored(bundle: Path, tmp_path: Path) -> None:
    """Each kind of bad record lands in rejected with its place and code, in both text formats."""
    good = with_ids(toy.records(3))
    bad = {
        "missing_field": b'{"record_id": "b", "x": 1, "n": 1, "flag": true}',
        "wrong_type": b'{"record_id": "b", "x": "one", "n": 1, "flag": true, "name": "lead"}',
        "null_value": b'{"record_id": "b", "x": null, "n": 1, "flag": true, "name": "lead"}',
        "not_finite": b'{"record_id": "b", "x": NaN, "n": 1, "flag": true, "name": "lead"}',
        "unknown_field": b'{"record_id": "b", "x": 1, "n": 1, "flag": true, "name": "l", "z": 1}',
        "malformed": b'{"record_id": "b", "x": 1, "n": 1, "flag"',
        "too_large": b'"' + b"b" * 2_000_000 + b'"',
    }
    lines = [json.dumps(good[0]).encode()]
    for line in bad.values():
        lines += [line, json.dumps(good[1]).encode()]
    open_storage(str(tmp_path)).write("in/a.jsonl", b"\n".join(lines))
    cells = {
        "malformed": b"b,1,1,true",
        "null_value": b"b,,1,true,lead",
        "not_finite": b"b,nan,1,true,l",
    }
    text = as_csv(good[:1])
    for row in cells.values():
        text += row + b"\r\n" + as_csv(good[1:2]).split(b"\r\n")[1] + b"\r\n"
    open_storage(str(tmp_path)).write("in/b.csv", text)
    job(bundle, str(tmp_path))
    found = [(r["file"], r["row"], r["code"]) for r in rejected(str(tmp_path))]
    assert found == [
        *(("a.jsonl", 2 * i, code) for i, code in enumerate(bad, 1)),
        *(("b.csv", 2 * i, code) for i, code in enumerate(cells, 1)),
    ]
    assert len(scores(str(tmp_path))) == len(bad) + 1 + len(cells) + 1
    ids = {r["code"]: r["record_id"] for r in rejected(str(tmp_path))[: len(bad)]}
    assert ids == {c: None if c in ("malformed", "too_large") else "b" for c in bad}


def test_a_record_the_model_fails_on_is_rejected_alone(bundle: Path, tmp_path: Path) -> None:
    """The rows of the others stay theirs, though the model gives no score for one in between."""
    quotient = _quotient_bundle(bundle, tmp_path / "bundle")
    lines = [b'{"record_id": "%d", "x": %d}' % (i, i % 3) for i in range(1, 10)]
    lines[4] = b"{"
    open_storage(str(tmp_path)).write("in.jsonl", b"\n".join(lines))
    job(quotient, str(tmp_path), "in.jsonl", chunk_records=4)
    found = [(r["row"], r["record_id"], r["y"]) for r in scores(str(tmp_path))]
    assert found == [(i, str(i), 1 / (i % 3)) for i in (1, 2, 4, 7, 8)]
    refused = [(r["row"], r["record_id"], r["code"]) for r in rejected(str(tmp_path))]
    assert refused == [
        (3, "3", "model_error"), (5, None, "malformed"), (6, "6", "model_error"),
        (9, "9", "model_error"),
    ]  # fmt: skip
    assert table(open_storage(f"{tmp_path}/out"), "run=r/scores")["outlier"].null_count == 5


def test_every_record_is_in_the_inference_log(bundle: Path, tmp_path: Path) -> None:
    """Scored and rejected alike, at the time given, with ids that a repetition gives again."""
    root = str(tmp_path)
    open_storage(root).write("in.jsonl", as_jsonl(with_ids(toy.records(7))) + b"{")
    as_of = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
    job(bundle, root, "in.jsonl", as_of=as_of, chunk_records=3)
    store = open_storage(f"{root}/store")
    prefix = "inference-log/model=toy/version=7/date=2026-01-05/hour=08"
    assert [i.path for i in store.list()] == [i.path for i in store.list(prefix)]
    log = table(store, prefix)
    assert sorted(log["record_id"].to_pylist(), key=str) == [*"1234567", None]
    assert set(log["event_time"].to_pylist()) == {as_of}
    assert set(log["lane"].to_pylist()) == {"batch"}
    assert set(log["request_id"].to_pylist()) == {"r"}
    assert len(set(log["entry_id"].to_pylist())) == 8
    open_storage(f"{root}/out").delete("run=r/manifest.json")
    job(bundle, root, "in.jsonl", as_of=as_of, chunk_records=3)
    assert sorted(table(store, prefix)["entry_id"].to_pylist()) == sorted(
        log["entry_id"].to_pylist()
    )


def test_a_complete_run_is_left_alone(bundle: Path, tmp_path: Path) -> None:
    """Called again, it writes nothing and reports the same counts, even without its input."""
    root = str(tmp_path)
    open_storage(root).write("in.jsonl", as_jsonl(with_ids(toy.records(7))))
    first = job(bundle, root, "in.jsonl")
    before = open_storage(root).list()
    (tmp_path / "in.jsonl").rename(tmp_path / "gone")
    again = job(bundle, root, "in.jsonl")
    assert "is complete already" in again
    assert again.endswith(first)
    assert [i for i in open_storage(root).list() if i.path != "gone"] == [
        i for i in before if i.path != "in.jsonl"
    ]


def test_an_unfinished_run_with_other_chunks_leaves_no_old_parts(
    bundle: Path, tmp_path: Path
) -> None:
    """What an earlier attempt wrote with other settings or other input is not counted twice."""
    root = str(tmp_path)
    open_storage(root).write("in/a.jsonl", as_jsonl(with_ids(toy.records(50))))
    open_storage(root).write("in/b.jsonl", as_jsonl(with_ids(toy.records(50))) + b"{")
    job(bundle, root, chunk_records=3)
    open_storage(root).delete("out/run=r/manifest.json")
    open_storage(root).delete("in/b.jsonl")
    job(bundle, root, chunk_records=20)
    assert [r["record_id"] for r in scores(root)] == [str(i) for i in range(1, 51)]
    assert rejected(root) == []
    assert [i.path for i in open_storage(f"{root}/out").list()] == [
        "run=r/manifest.json",
        "run=r/rejected/part-00000-00000.parquet",
        "run=r/report.html",
        *(f"run=r/scores/part-00000-0000{i}.parquet" for i in range(3)),
    ]


def test_a_damaged_file_fails_the_run(bundle: Path, tmp_path: Path) -> None:
    """A Parquet file that was cut is named, and the others are scored all the same."""
    root = str(tmp_path)
    rows = as_parquet(as_floats(with_ids(toy.records(50))))
    open_storage(root).write("in/a.parquet", rows)
    open_storage(root).write("in/b.parquet", rows[: len(rows) // 2])
    with pytest.raises(RunFailed, match=r"1 of 2 files could not be read: b\.parquet"):
        job(bundle, root)
    assert manifest(root)["outcome"] == "failed"
    assert len(scores(root)) == 50


@pytest.mark.parametrize("output", ["in", "in/below", "in/"])
def test_the_output_cannot_lie_in_the_input(bundle: Path, tmp_path: Path, output: str) -> None:
    """Scores would be the next run's records."""
    open_storage(str(tmp_path)).write("in/a.jsonl", b"")
    with pytest.raises(ConfigurationError, match="lies in the input"):
        job(bundle, str(tmp_path), output=f"{tmp_path}/{output}")


def test_a_number_with_a_fraction_cannot_be_the_record_id(bundle: Path, tmp_path: Path) -> None:
    """The feature x of the model is named as the id column: no record is tried."""
    open_storage(str(tmp_path)).write("in/a.jsonl", b"")
    with pytest.raises(ConfigurationError, match="'x' is a feature of type double"):
        job(bundle, str(tmp_path), record_id_column="x")


@pytest.mark.azurite
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
def test_a_run_in_azure_storage(bundle: Path) -> None:
    """Input, output and log in a container: the same as in a directory."""
    connection_string = os.environ[AZURITE]
    from azure.storage.blob import BlobServiceClient

    container = f"batch-{uuid.uuid4().hex}"
    with BlobServiceClient.from_connection_string(connection_string) as client:
        client.create_container(container)
        root = f"abfs://{container}@{client.account_name}.dfs.core.windows.net/p"
        storage = open_storage(root, connection_string)
        rows = as_floats(with_ids(toy.records(40)))
        storage.write("in/a.csv", as_csv(rows))
        storage.write("in/b.parquet", as_parquet(rows))
        job(bundle, root, chunk_records=16, storage_connection_string=connection_string)
        found = table(storage, "out/run=r/scores")
        assert found["record_id"].to_pylist() == [r["record_id"] for r in rows] * 2
        assert found["score"][:40].equals(found["score"][40:])
        assert table(storage, "store/inference-log").num_rows == 80
        client.delete_container(container)


def _quotient_bundle(bundle: Path, directory: Path) -> Path:
    """A bundle of y = 1 / x without an outlier detector; x = 0 has no finite result."""
    double = TensorProto.DOUBLE
    graph = helper.make_graph(
        [helper.make_node("Reciprocal", ["numeric"], ["y"])],
        "quotient",
        [helper.make_tensor_value_info("numeric", double, [None, 1])],
        [helper.make_tensor_value_info("y", double, [None, 1])],
    )
    directory.mkdir()
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.save(model, str(directory / "model.onnx"))
    made = msgspec.structs.replace(
        read_manifest(bundle),
        inputs=[ColumnSpec("x", "double")],
        ignored_fields=[],
        example={"x": 1.0},
        output=OutputSpec("columns", ["y"], [OutputColumn("y", "double")]),
        backend=BackendSpec("onnx", "model.onnx"),
        outlier=None,
        files={"model.onnx": file_digest(directory / "model.onnx")},
    )
    (directory / MANIFEST_NAME).write_bytes(encode_manifest(sealed(made)))
    return directory
