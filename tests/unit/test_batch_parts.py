"""Part files of a batch run: names, columns, and that the bytes are always the same."""

import io
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch_scorer.delivery.parts import OutputFormat, PartEncoder, rejected_path, scores_path
from scoring.manifest import OutputColumn
from scoring.model import ModelBundle
from scoring.records import Reasons
from tests.support.batch_parts import (
    EVERY_TYPE,
    digest,
    many,
    parquet,
    rejection,
    scored_batch,
    with_outputs,
)
from tests.support.toy import load_toy

FORMATS: Sequence[OutputFormat] = ("parquet", "csv")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The toy model."""
    return load_toy(tmp_path_factory.mktemp("toy") / "bundle", reference=0)


@pytest.mark.parametrize(
    ("output_format", "ending"), [("parquet", "parquet"), ("csv", "csv"), ("delta", "parquet")]
)
def test_names_say_file_and_unit(output_format: OutputFormat, ending: str) -> None:
    """In five digits or more, so that they sort; a Delta table is made of Parquet parts."""
    scores, rejected = (p("r", 3, 123456, output_format) for p in (scores_path, rejected_path))
    assert scores == f"run=r/scores/part-00003-123456.{ending}"
    assert rejected == f"run=r/rejected/part-00003-123456.{ending}"
    assert scores_path("r", 3, 4) == "run=r/scores/part-00003-00004.parquet"


def test_scores_have_every_type_of_output(toy: ModelBundle) -> None:
    """With the values they came with, in the documented order, and the types Parquet has."""
    model = with_outputs(toy, EVERY_TYPE)
    batch = many(model, 50)
    part = parquet(PartEncoder(model, "parquet", True).scores("a.csv", range(11, 61), batch))
    item = pa.struct([("feature", pa.string()), ("contribution", pa.float64())])
    assert part.schema == pa.schema(
        [
            ("record_id", pa.string()),
            ("value", pa.float64()),
            ("count", pa.int64()),
            ("sure", pa.bool_()),
            ("class", pa.string()),
            ("outlier", pa.bool_()),
            ("outlier_score", pa.float64()),
            ("reasons", pa.list_(pa.field("element", item))),
            ("file", pa.string()),
            ("row", pa.int64()),
        ]
    )
    rows = [
        {key: row[key] for key in part.schema.names if key in row} for row in batch.predictions()
    ]
    assert part.drop(["file", "row"]).to_pylist() == rows
    assert part["file"].to_pylist() == ["a.csv"] * 50
    assert part["row"].to_pylist() == list(range(11, 61))


def test_dictionaries_are_for_text_that_repeats(toy: ModelBundle) -> None:
    """To look for one among ids and numbers would cost more than the rest of the part."""
    model = with_outputs(toy, EVERY_TYPE)
    part = PartEncoder(model, "parquet", True).scores("a.csv", range(1, 9), many(model, 8))
    group = pq.ParquetFile(io.BytesIO(part)).metadata.row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    assert [c.path_in_schema for c in columns if c.has_dictionary_page] == [
        "class",
        "reasons.list.element.feature",
        "file",
    ]
    assert {c.compression for c in columns} == {"ZSTD"}


@pytest.mark.parametrize("rows", [range(2, 8, 2), [2, 4, 6], np.array([2, 4, 6])])
def test_rows_may_come_in_any_form(toy: ModelBundle, rows: Any) -> None:
    """A range, a list and an array give the same bytes."""
    encoder = PartEncoder(toy, "parquet", False)
    batch = scored_batch(toy, {"score": [0.1, 0.2, 0.3], "label": ["No"] * 3})
    part = encoder.scores("a.csv", rows, batch)
    assert part == encoder.scores("a.csv", (2, 4, 6), batch)
    assert parquet(part)["row"].to_pylist() == [2, 4, 6]


def test_without_a_detector_outliers_are_null(toy: ModelBundle) -> None:
    """The columns stay, so that the parts of all runs have the same ones."""
    batch = scored_batch(toy, {"score": [0.1, 0.9], "label": ["No", "Yes"]})
    encoder = PartEncoder(toy, "parquet", False)
    part = parquet(encoder.scores("a.csv", range(1, 3), batch))
    assert part.schema == encoder.schema("scores")
    assert part.select(["outlier", "outlier_score"]).to_pylist() == [
        {"outlier": None, "outlier_score": None}
    ] * 2  # fmt: skip


def test_outputs_keep_clear_of_the_other_columns(toy: ModelBundle) -> None:
    """One named like a column of ours gets a prefix, whether that column is there or not."""
    taken = ("record_id", "outlier", "outlier_score", "reasons", "file", "row", "run_id")
    model = with_outputs(toy, [OutputColumn(name, "long") for name in (*taken, "code")])
    batch = scored_batch(model, {name: [7] for name in (*taken, "code")})
    part = parquet(PartEncoder(model, "parquet", False).scores("a.csv", range(1, 2), batch))
    ours = ["outlier", "outlier_score", "file", "row"]
    assert part.schema.names == ["record_id", *(f"output.{name}" for name in taken), "code", *ours]
    assert part.drop(["record_id", *ours]).to_pylist() == [
        {**{f"output.{name}": 7 for name in taken}, "code": 7}
    ]


def test_rejected_rows_say_where_and_why(toy: ModelBundle) -> None:
    """Row by row; an id that could not be read is null."""
    part = PartEncoder(toy, "parquet", False).rejected("a.csv", [rejection(2, "r"), rejection(5)])
    assert parquet(part).to_pylist() == [
        {
            "record_id": record_id,
            "file": "a.csv",
            "row": row,
            "code": "missing_field",
            "detail": "x: is required",
        }
        for record_id, row in (("r", 2), (None, 5))
    ]


@pytest.mark.parametrize("name", ["a b,c;d=%20", 'quoted"', "line\nbreak", "äöü-🙂"])
def test_odd_file_names_stand_as_they_are(toy: ModelBundle, name: str) -> None:
    """In scores and in rejected rows."""
    encoder = PartEncoder(toy, "parquet", False)
    batch = scored_batch(toy, {"score": [0.1, 0.2], "label": ["No", "No"]})
    for part in (
        encoder.scores(name, range(1, 3), batch),
        encoder.rejected(name, [rejection(1), rejection(2)]),
    ):
        assert parquet(part)["file"].to_pylist() == [name] * 2


@pytest.mark.parametrize("with_reasons", [False, True])
def test_a_part_without_rows_has_its_columns(toy: ModelBundle, with_reasons: bool) -> None:
    """The same ones, whether there are rows, none of a unit or none of the run."""
    model = with_outputs(toy, EVERY_TYPE)
    encoder = PartEncoder(model, "parquet", with_reasons)
    reasons = Reasons(("x",), np.empty((0, 1), np.intp), np.empty((0, 1)))
    none = scored_batch(
        model, {c.name: [] for c in EVERY_TYPE}, [], [], reasons if with_reasons else None
    )
    for part, kind in (
        (encoder.scores("a.csv", range(0), none), "scores"),
        (encoder.empty("scores"), "scores"),
        (encoder.rejected("a.csv", []), "rejected"),
        (encoder.empty("rejected"), "rejected"),
    ):
        table = parquet(part)
        assert table.num_rows == 0
        assert table.schema == encoder.schema("scores" if kind == "scores" else "rejected")


@pytest.mark.parametrize("output_format", FORMATS)
def test_the_same_records_give_the_same_bytes_in_any_process(
    toy: ModelBundle, tmp_path: Path, output_format: OutputFormat
) -> None:
    """Whatever the order of its hashes and the number of its threads."""
    expected = digest(toy, output_format)
    for number, cpus in enumerate(("1", "3")):
        answer = subprocess.run(
            [
                *(sys.executable, "-m", "tests.support.batch_parts"),
                *(output_format, cpus, tmp_path / cpus),
            ],
            env=os.environ | {"PYTHONHASHSEED": str(number), "OMP_NUM_THREADS": cpus},
            capture_output=True,
            text=True,
            check=True,
        )
        assert answer.stdout.strip() == expected


@pytest.mark.parametrize("output_format", FORMATS)
def test_threads_may_share_an_encoder(toy: ModelBundle, output_format: OutputFormat) -> None:
    """Parts that are encoded side by side are those that are encoded one after the other."""
    model = with_outputs(toy, EVERY_TYPE)
    encoder, batch = PartEncoder(model, output_format, True), many(model, 4000)
    slices = [batch.slice(start, start + 500) for start in range(0, 4000, 500)]

    def part(number: int) -> bytes:
        return encoder.scores(f"{number}.csv", range(1, 501), slices[number])

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(part, range(8))) == [part(number) for number in range(8)]
