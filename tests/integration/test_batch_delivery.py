"""The scores of batch runs as Delta tables, in a directory and in Azurite."""

import os
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder

from adapters.delta_tables.replacing import replace_partition
from adapters.storage import Storage, open_storage
from batch_scorer.delivery.delta import deliver_delta
from batch_scorer.delivery.parts import KINDS, PartEncoder, rejected_path, scores_path
from batch_scorer.delivery.tidying import tidy
from batch_scorer.plan import Plan
from scoring.errors import InputError
from scoring.manifest import OutputColumn
from scoring.model import ModelBundle
from scoring.records import Reasons
from tests.support.batch_parts import EVERY_TYPE, many, rejection, scored_batch, with_outputs
from tests.support.batch_plans import plan_of
from tests.support.start_from import listing_from_names
from tests.support.toy import load_toy

AZURITE = "TRILANE_TEST_AZURITE_CONNECTION_STRING"

Row = dict[str, Any]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.fixture
def output(tmp_path: Path) -> Storage:
    """A directory."""
    return open_storage(str(tmp_path / "out"))


def plan(run_id: str) -> Plan:
    """A run whose results become Delta tables."""
    return plan_of(run_id=run_id, output_format="delta")


def write_parts(
    output: Storage, model: ModelBundle, run_id: str, scores: Sequence[float], rejected: int = 0
) -> PartEncoder:
    """The parts of a run of the toy model: two scores each, and rejected rows by themselves."""
    encoder, parts = PartEncoder(model, "delta", False), set[str]()
    for unit, start in enumerate(range(0, len(scores), 2)):
        some = list(scores[start : start + 2])
        batch = scored_batch(model, {"score": some, "label": ["Yes"] * len(some)}, None, some)
        rows = range(start + 1, start + len(some) + 1)
        parts.add(path := scores_path(run_id, 0, unit))
        output.write(path, encoder.scores("a.csv", rows, batch))
    for row in range(1, rejected + 1):
        parts.add(path := rejected_path(run_id, 1, row))
        output.write(path, encoder.rejected("b.csv", [rejection(row)]))
    tidy(output, run_id, parts, encoder)
    return encoder


def deliver(
    output: Storage, model: ModelBundle, run_id: str, scores: Sequence[float], rejected: int = 0
) -> None:
    """A run from its parts to the tables."""
    encoder = write_parts(output, model, run_id, scores, rejected)
    deliver_delta(output, None, plan(run_id), encoder)


def rows_of(table: DeltaTable) -> list[Row]:
    """All rows, by run, file and row."""
    query = "SELECT * FROM t ORDER BY run_id, file, row"
    rows: list[Row] = pa.table(QueryBuilder().register("t", table).execute(query)).to_pylist()
    return rows


def scores_of(output: Storage) -> dict[str, list[float]]:
    """The scores in the table by run."""
    found: dict[str, list[float]] = {}
    for row in rows_of(DeltaTable(output.url_of("scores"))):
        found.setdefault(row["run_id"], []).append(row["score"])
    return found


def test_tables_have_the_rows_of_the_parts(toy: ModelBundle, output: Storage) -> None:
    """Scores and rejected rows of all units, with the run that they are of."""
    deliver(output, toy, "2026-03-02", [0.1, 0.2, 0.97], rejected=2)
    scores = DeltaTable(output.url_of("scores"))
    assert scores.metadata().partition_columns == ["run_id"]
    assert rows_of(scores) == [
        {
            "record_id": record_id,
            "score": score,
            "label": "Yes",
            "outlier": score > 0.95,
            "outlier_score": score,
            "file": "a.csv",
            "row": row,
            "run_id": "2026-03-02",
        }
        for row, (record_id, score) in enumerate([("1", 0.1), ("2", 0.2), ("1", 0.97)], 1)
    ]
    assert rows_of(DeltaTable(output.url_of("rejected"))) == [
        {
            "record_id": None,
            "file": "b.csv",
            "row": row,
            "code": "missing_field",
            "detail": "x: is required",
            "run_id": "2026-03-02",
        }
        for row in (1, 2)
    ]


def test_every_type_arrives_to_the_last_bit(toy: ModelBundle, output: Storage) -> None:
    """Reasons too."""
    model, path = with_outputs(toy, EVERY_TYPE), scores_path("r", 0, 0)
    encoder, batch = PartEncoder(model, "delta", True), many(model, 100)
    output.write(path, encoder.scores("a.csv", range(1, 101), batch))
    tidy(output, "r", {path}, encoder)
    deliver_delta(output, None, plan("r"), encoder)
    extra = {"file", "row", "run_id"}
    found = rows_of(DeltaTable(output.url_of("scores")))
    assert [{k: v for k, v in row.items() if k not in extra} for row in found] == (
        batch.predictions()
    )


def test_a_file_of_a_table_has_the_rows_of_many_parts(toy: ModelBundle, output: Storage) -> None:
    """As many as reach the size that is asked for; and the log says how many rows each has."""
    encoder = write_parts(output, toy, "r", [number / 100 for number in range(7)])
    for file_bytes, rows in ((1 << 20, [7]), (1, [2, 2, 2, 1])):
        deliver_delta(output, None, plan("r"), encoder, file_bytes=file_bytes)
        table = DeltaTable(output.url_of("scores"))
        actions = pa.table(table.get_add_actions(flatten=True)).sort_by("path")
        assert actions["num_records"].to_pylist() == rows
        for path, size in zip(
            actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True
        ):
            assert len(output.read(f"scores/{path}")) == size
        assert scores_of(output) == {"r": [number / 100 for number in range(7)]}


def test_delivering_again_changes_nothing(toy: ModelBundle, output: Storage) -> None:
    """One more commit each time, and each row once."""
    deliver(output, toy, "r", [0.1, 0.2, 0.3], rejected=1)
    first = {kind: DeltaTable(output.url_of(kind)) for kind in KINDS}
    for again in (1, 2):
        deliver(output, toy, "r", [0.1, 0.2, 0.3], rejected=1)
        for kind, table in first.items():
            now = DeltaTable(output.url_of(kind))
            assert now.version() == table.version() + again
            assert rows_of(now) == rows_of(table)
    assert scores_of(output) == {"r": [0.1, 0.2, 0.3]}


def test_a_run_replaces_itself_alone(toy: ModelBundle, output: Storage) -> None:
    """What is left of it when it is scored anew is what it has now; other runs stay."""
    deliver(output, toy, "a", [0.1, 0.2, 0.3], rejected=3)
    deliver(output, toy, "b", [0.4])
    deliver(output, toy, "a", [0.5, 0.6])
    assert scores_of(output) == {"a": [0.5, 0.6], "b": [0.4]}
    assert rows_of(DeltaTable(output.url_of("rejected"))) == []
    deliver(output, toy, "b", [])
    assert scores_of(output) == {"a": [0.5, 0.6]}


def test_a_run_without_rows_makes_the_tables(toy: ModelBundle, output: Storage) -> None:
    """With all their columns, so that whoever reads them finds some."""
    deliver(output, toy, "r", [])
    encoder = PartEncoder(toy, "delta", False)
    assert [f.name for f in DeltaTable(output.url_of("scores")).schema().fields] == [
        *encoder.schema("scores").names,
        "run_id",
    ]
    assert rows_of(DeltaTable(output.url_of("rejected"))) == []


def test_a_delivery_that_breaks_off_leaves_the_table_as_it_was(
    toy: ModelBundle, output: Storage
) -> None:
    """Though rows had gone out already; repeated, it gives the run once."""
    deliver(output, toy, "a", [0.1])
    encoder = write_parts(output, toy, "b", [0.2, 0.3] * 10, rejected=1)
    last = scores_path("b", 0, 9)
    part = output.read(last)
    output.write(last, part[:-9])
    with pytest.raises(InputError, match=r"part-00000-00009\.parquet.*damaged"):
        deliver_delta(output, None, plan("b"), encoder)
    assert scores_of(output) == {"a": [0.1]}
    assert rows_of(DeltaTable(output.url_of("rejected"))) == []
    output.write(last, part)
    deliver_delta(output, None, plan("b"), encoder)
    assert scores_of(output) == {"a": [0.1], "b": [0.2, 0.3] * 10}


def test_a_delivery_that_ends_between_the_tables_is_repeated(
    toy: ModelBundle, output: Storage
) -> None:
    """The scores are in, the rejected rows are not; afterwards both are, once."""
    encoder = write_parts(output, toy, "r", [0.1, 0.2], rejected=2)
    broken = rejected_path("r", 1, 2)
    part = output.read(broken)
    output.write(broken, b"")
    with pytest.raises(InputError):
        deliver_delta(output, None, plan("r"), encoder)
    output.write(broken, part)
    deliver_delta(output, None, plan("r"), encoder)
    assert scores_of(output) == {"r": [0.1, 0.2]}
    assert [r["row"] for r in rows_of(DeltaTable(output.url_of("rejected")))] == [1, 2]


@pytest.mark.parametrize("exists", [True, False])
def test_runs_may_be_delivered_side_by_side(
    toy: ModelBundle, output: Storage, exists: bool
) -> None:
    """Each arrives once and whole, into a table that stands or that the first of them makes."""
    if exists:
        deliver(output, toy, "old", [0.5])
    runs = {f"r{number}": [number / 10] * 40 for number in range(4)}
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda run: deliver(output, toy, run, runs[run], 1), runs))
    assert scores_of(output) == ({"old": [0.5]} if exists else {}) | runs
    rejected = rows_of(DeltaTable(output.url_of("rejected")))
    assert [row["run_id"] for row in rejected] == sorted(runs)


def test_writers_that_find_no_table_agree_on_one(tmp_path: Path) -> None:
    """All begin at the same moment: some make the table again over another, and none fails."""
    schema, writers = pa.schema([("x", pa.int64())]), 4
    for number in range(20):
        url, barrier = f"file://{tmp_path}/{number}", threading.Barrier(writers)

        def write(run: str, url: str = url, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            replace_partition(url, None, ("run_id", run), schema, [])

        with ThreadPoolExecutor(writers) as threads:
            list(threads.map(write, "abcd"))
        commits = [c["operation"] for c in DeltaTable(url).history()]
        assert commits.count("WRITE") == writers


def test_another_model_may_have_other_outputs(toy: ModelBundle, output: Storage) -> None:
    """A new column is null in older runs, and one that is gone is null in newer ones."""
    deliver(output, toy, "a", [0.1])
    model = with_outputs(toy, [OutputColumn("score", "double"), OutputColumn("steps", "long")])
    encoder, path = PartEncoder(model, "delta", True), scores_path("b", 0, 0)
    reasons = Reasons(("x",), np.zeros((1, 1), np.intp), np.full((1, 1), 0.25))
    batch = scored_batch(model, {"score": [0.2], "steps": [3]}, None, None, reasons)
    output.write(path, encoder.scores("a.csv", range(1, 2), batch))
    tidy(output, "b", {path}, encoder)
    deliver_delta(output, None, plan("b"), encoder)
    deliver(output, toy, "c", [0.3])
    rows = rows_of(DeltaTable(output.url_of("scores")))
    columns = ("run_id", "score", "label", "steps", "reasons")
    assert [tuple(row[name] for name in columns) for row in rows] == [
        ("a", 0.1, "Yes", None, None),
        ("b", 0.2, None, 3, [{"feature": "x", "contribution": 0.25}]),
        ("c", 0.3, "Yes", None, None),
    ]


def test_an_output_of_another_type_is_refused(toy: ModelBundle, output: Storage) -> None:
    """A table has one type for a column: nothing is committed, and no value is repeated."""
    deliver(output, toy, "a", [0.1])
    model = with_outputs(toy, [OutputColumn("score", "string"), OutputColumn("label", "string")])
    encoder, path = PartEncoder(model, "delta", False), scores_path("b", 0, 0)
    batch = scored_batch(model, {"score": ["secret"], "label": ["Yes"]})
    output.write(path, encoder.scores("a.csv", range(1, 2), batch))
    tidy(output, "b", {path}, encoder)
    with pytest.raises(InputError, match="'score'") as refused:
        deliver_delta(output, None, plan("b"), encoder)
    assert "secret" not in str(refused.value)
    assert scores_of(output) == {"a": [0.1]}


@pytest.mark.azurite
def test_tables_in_azure(toy: ModelBundle) -> None:
    """Created, replaced and joined by another run, as in a directory."""
    from azure.storage.blob import BlobServiceClient

    with (
        listing_from_names(os.environ[AZURITE]) as secret,
        BlobServiceClient.from_connection_string(secret) as client,
    ):
        name = f"delivery-{uuid.uuid4().hex}"
        client.create_container(name)
        output = open_storage(f"abfs://{name}@{client.account_name}.dfs.core.windows.net/p", secret)
        for run, scores in (("a", [0.1, 0.2, 0.3]), ("b", [0.4]), ("a", [0.5]), ("c", [])):
            encoder = write_parts(output, toy, run, scores, rejected=1)
            deliver_delta(output, secret, plan(run), encoder)
        options = {
            "account_name": client.account_name,
            "account_key": client.credential.account_key,
            "endpoint": client.url,
            "allow_http": "true",
        }
        found = [rows_of(DeltaTable(f"az://{name}/p/{k}", storage_options=options)) for k in KINDS]
        assert [(row["run_id"], row["score"]) for row in found[0]] == [("a", 0.5), ("b", 0.4)]
        assert [row["run_id"] for row in found[1]] == ["a", "b", "c"]
        client.delete_container(name)
