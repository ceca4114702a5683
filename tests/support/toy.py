"""A toy model as a bundle, made in milliseconds without MLflow: an ONNX graph written by hand.

`Yes` with probability sigmoid(0.1 * x + 0.2 * n + flag + (name == "senior") - 1).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
from onnx import TensorProto, helper

from scoring.manifest import (
    FORMAT,
    MANIFEST_NAME,
    BackendSpec,
    ColumnSpec,
    Manifest,
    OutlierSpec,
    OutputColumn,
    OutputSpec,
    ParitySpec,
    ReasonsSpec,
    ReferenceSpec,
    bundle_files,
    encode_manifest,
    file_digest,
    sealed,
)
from scoring.model import ModelBundle
from scoring.model_loader import load_model
from scoring.score import score
from scoring.validation import validate_rows

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
EXAMPLE: dict[str, Any] = {"x": 1.5, "n": 3, "flag": True, "name": "senior"}
NAMES = ("junior", "senior", "lead")


def records(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Valid records of the toy model."""
    rng = np.random.default_rng(seed)
    return [
        {
            "x": float(rng.normal()),
            "n": int(rng.integers(0, 20)),
            "flag": bool(rng.integers(0, 2)),
            "name": str(rng.choice(NAMES)),
        }
        for _ in range(count)
    ]


def expected_score(record: dict[str, Any]) -> float:
    """The score by the formula."""
    margin = 0.1 * record["x"] + 0.2 * record["n"] + record["flag"]
    margin += (record["name"] == "senior") - 1.0
    return float(1.0 / (1.0 + np.exp(-margin)))


def make_bundle(
    directory: Path,
    reference: int = 1000,
    version: str = "7",
    name: str = "toy",
    role: Literal["champion", "challenger"] = "champion",
    ignored: Sequence[str] = ("comment",),
) -> Path:
    """Write the toy bundle into a directory and return it."""
    directory.mkdir(parents=True, exist_ok=True)
    onnx.save(_graph(), str(directory / "model.onnx"))
    onnx.save(_outlier_graph(), str(directory / "outlier.onnx"))

    def seal(spec: ReferenceSpec | None) -> None:
        _seal(directory, spec, version=version, name=name, role=role, ignored_fields=list(ignored))

    seal(None)
    if reference:
        _write_reference(directory, reference)
        seal(ReferenceSpec("reference/reference.parquet", reference))
    return directory


def load_toy(directory: Path, **options: Any) -> ModelBundle:
    """Make and load the toy bundle."""
    return load_model(make_bundle(directory, **options), NOW)


def _seal(directory: Path, reference: ReferenceSpec | None, **told: Any) -> None:
    manifest = Manifest(
        format=FORMAT,
        digest="",
        **told,
        alias=None,
        run_id=None,
        source="tests",
        source_digest="0" * 64,
        created=NOW.isoformat(),
        inputs=[
            ColumnSpec("x", "double"),
            ColumnSpec("n", "long"),
            ColumnSpec("flag", "boolean"),
            ColumnSpec("name", "string"),
        ],
        example=EXAMPLE,
        output=OutputSpec(
            "binary",
            ["No", "Yes"],
            [OutputColumn("score", "double"), OutputColumn("label", "string")],
            "Yes",
            "No",
            0.5,
        ),
        backend=BackendSpec("onnx", "model.onnx", call_width=8),
        outlier=OutlierSpec("outlier.onnx", ["x", "n"], 0.95, call_width=8),
        parity=ParitySpec(0, 0.0, 0.0, None, []),
        reasons=ReasonsSpec("none", "the toy gives none"),
        reference=reference,
        files={
            name: file_digest(directory / name)
            for name in bundle_files(directory)
            if name != MANIFEST_NAME
        },
    )
    (directory / MANIFEST_NAME).write_bytes(encode_manifest(sealed(manifest)))


def _write_reference(directory: Path, count: int) -> None:
    model = load_model(directory, NOW)
    rows = records(count, seed=1)
    valid = validate_rows(model.schema, rows, [str(i) for i in range(count)])
    scored = score(model, valid.batch)
    columns = dict(zip(model.schema.names, valid.batch.columns, strict=True))
    columns |= dict(scored.outputs)
    if scored.outlier_scores is not None:
        columns["outlier_score"] = scored.outlier_scores
    path = directory / "reference" / "reference.parquet"
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), path)


def _graph() -> onnx.ModelProto:
    double = TensorProto.DOUBLE
    nodes = [
        helper.make_node("MatMul", ["numeric", "weights"], ["linear"]),
        helper.make_node("Equal", ["text", "senior"], ["is_senior"]),
        helper.make_node("Cast", ["is_senior"], ["bonus"], to=double),
        helper.make_node("Add", ["linear", "bonus"], ["raised"]),
        helper.make_node("Sub", ["raised", "one"], ["margin"]),
        helper.make_node("Sigmoid", ["margin"], ["yes"]),
        helper.make_node("Sub", ["one", "yes"], ["no"]),
        helper.make_node("Concat", ["no", "yes"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [
            helper.make_tensor_value_info("numeric", double, [None, 3]),
            helper.make_tensor_value_info("text", TensorProto.STRING, [None, 1]),
        ],
        [helper.make_tensor_value_info("probabilities", double, [None, 2])],
        [
            helper.make_tensor("weights", double, [3, 1], [0.1, 0.2, 1.0]),
            helper.make_tensor("one", double, [1], [1.0]),
            helper.make_tensor("senior", TensorProto.STRING, [1], [b"senior"]),
        ],
    )
    return _model(graph)


def _outlier_graph() -> onnx.ModelProto:
    double = TensorProto.DOUBLE
    nodes = [
        helper.make_node("Abs", ["numeric"], ["distance"]),
        helper.make_node("MatMul", ["distance", "weights"], ["far"]),
        helper.make_node("Tanh", ["far"], ["anomaly"]),
    ]
    graph = helper.make_graph(
        nodes,
        "outlier",
        [helper.make_tensor_value_info("numeric", double, [None, 2])],
        [helper.make_tensor_value_info("anomaly", double, [None, 1])],
        [helper.make_tensor("weights", double, [2, 1], [0.05, 0.05])],
    )
    return _model(graph)


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
