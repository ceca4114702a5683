"""Batch runs of a model that one thread at a time may call."""

import warnings
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from scoring.manifest import (
    MANIFEST_NAME,
    BackendSpec,
    ColumnSpec,
    OutputColumn,
    OutputSpec,
    bundle_files,
    encode_manifest,
    file_digest,
    read_manifest,
    sealed,
)
from tests.support import toy
from tests.support.batch_nights import Night
from tests.support.batch_pieces import Row, write_jsonl


def test_a_model_that_is_not_compiled(tmp_path: Path) -> None:
    """Its calls come one at a time, whatever the number of threads; scores are the same bits."""
    bundle = _uncompiled(tmp_path)
    records: list[Row] = [{"record_id": str(i), "x": i / 7} for i in range(400)]
    found = []
    for threads in (1, 4):
        night = Night(bundle, tmp_path / str(threads))
        night.source.mkdir(parents=True)
        for number in range(4):
            part = records[number * 100 : number * 100 + 100]
            write_jsonl(night.source / f"{number}.jsonl", part)
        night.complete(threads=threads)
        assert night.manifest()["totals"] == {"received": 400, "scored": 400, "rejected": 0}
        found.append(night.files().parts())
    assert found[0] == found[1]
    table = pq.read_table(tmp_path / "4/out/run=r/scores/part-00003-00004.parquet")
    assert table["prediction"].to_pylist() == [i / 7 * 2.0 for i in range(380, 400)]


def _uncompiled(root: Path) -> Path:
    """A bundle of tests/support/alone_model.py, which fails when it is called twice at once."""
    bundle = toy.make_bundle(root / "bundle", reference=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, of its imports and of models from source
        import mlflow
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec
        from mlflow.types import Schema as Columns

        source = Path(__file__).parents[1] / "support" / "alone_model.py"
        signature = ModelSignature(Columns([ColSpec("double", "x")]))
        mlflow.pyfunc.save_model(bundle / "model", python_model=str(source), signature=signature)
    for name in ("model.onnx", "outlier.onnx"):
        (bundle / name).unlink()
    made = msgspec.structs.replace(
        read_manifest(bundle),
        inputs=[ColumnSpec("x", "double")],
        ignored_fields=[],
        example={"x": 1.0},
        output=OutputSpec("columns", ["prediction"], [OutputColumn("prediction", "double")]),
        backend=BackendSpec("pyfunc", "model"),
        outlier=None,
        files={
            name: file_digest(bundle / name)
            for name in bundle_files(bundle)
            if name != MANIFEST_NAME
        },
    )
    (bundle / MANIFEST_NAME).write_bytes(encode_manifest(sealed(made)))
    return bundle
