"""A stranger's model, registered as people register models, works in every lane without a line of
code: trained, packaged, scored by three lanes with the same bits, and within tolerance of MLflow.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from bundling.config import Registry
from bundling.mlflow_door import opened
from bundling.parity.proof import TOLERANCE, largest_difference
from local_stack.population import read_records
from scoring.backends.pyfunc import PyfuncBackend
from scoring.bundle_schema import manifest_schema
from scoring.manifest import Manifest, read_manifest
from scoring.outputs import model_outputs
from scoring.parallel import compute
from scoring.records import Column
from scoring.validation import validate_rows
from tests.support import zoo as zoo_module
from tests.support.bundles import RealBundle, command, write_csv
from tests.support.everywhere import score_everywhere
from tests.support.zoo import ZooModel, zoo

ZOO = zoo()
RECORDS = 40


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with every model registered and packaged, by one call of each command."""
    work = tmp_path_factory.mktemp("zoo")
    command(work, zoo_module.__file__, "sqlite:///mlflow.db")
    roles = ["champion", *["challenger"] * (len(ZOO) - 1)]
    models = [
        {"name": model.name, "version": "1", "role": role, **model.entry}
        for model, role in zip(ZOO.values(), roles, strict=True)
    ]
    config = {"registry": {"tracking_uri": "sqlite:///mlflow.db"}, "models": models}
    (work / "models.json").write_text(json.dumps(config))
    command(work, "-m", "bundling", "--models", "models.json", "--output", "bundles")
    return work


def packaged(registry: Path, model: ZooModel) -> RealBundle:
    """The bundle of a model, and a file of its records."""
    rows = [{"id": f"r-{i}", **row} for i, row in enumerate(model.rows(RECORDS))]
    records = write_csv(registry / f"{model.name}.csv", rows)
    return RealBundle(model.name, registry / "bundles" / model.name, records, "id")


def registered_outputs(real: RealBundle, manifest: Manifest) -> dict[str, Column]:
    """What MLflow itself gives for the records, as the bundle's outputs."""
    schema = manifest_schema(manifest)
    records = read_records(real.records, schema, real.id_column)
    ids = [record.pop("record_id") for record in records]
    valid = validate_rows(schema, records, ids)
    with opened(Registry("sqlite:///:memory:")):
        backend = PyfuncBackend(real.bundle / "model", schema, manifest.output.raw)
    return model_outputs(manifest.output, compute(backend, valid.batch, None))


def test_the_zoo_is_large_and_unlike() -> None:
    """At least a dozen, some of which cannot be compiled."""
    assert len(ZOO) >= 12
    assert {model.backend for model in ZOO.values()} == {"onnx", "pyfunc"}


@pytest.mark.parametrize("name", sorted(ZOO))
def test_a_strangers_model_scores_identically_in_every_lane(
    name: str, registry: Path, tmp_path: Path
) -> None:
    """With reasons where it gives some, and within tolerance of what MLflow gives."""
    model = ZOO[name]
    real = packaged(registry, model)
    manifest = read_manifest(real.bundle)
    assert manifest.backend.kind == model.backend, manifest.backend.reason
    assert {c.name: c.type for c in manifest.output.columns} == dict(model.outputs)
    reasons = 0 if manifest.reasons.method == "none" else 2
    predictions = score_everywhere(real, tmp_path, per_request=17, reasons=reasons)
    expected = registered_outputs(real, manifest)
    found = {
        output: np.array([predictions[f"r-{i}"][output] for i in range(RECORDS)])
        for output in expected
    }
    assert largest_difference(expected, found) <= TOLERANCE
    counts = {len(prediction.get("reasons", [])) for prediction in predictions.values()}
    assert counts == {min(reasons, len(manifest.inputs))}
