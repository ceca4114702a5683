"""`trilane package`: when it makes a bundle and when it keeps one, and what a full disk leaves."""

import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from scoring.manifest import Manifest, bundle_files, read_manifest
from tests.support.bundles import RealBundle, command, write_models
from tests.support.package_runs import package

# Moves the alias `live` of the model `grades` to a version, which is made if there is none.
MOVE_ALIAS = """
import sys
import mlflow
mlflow.set_tracking_uri("sqlite:///mlflow.db")
client = mlflow.MlflowClient()
first = client.get_model_version("grades", "1")
while int(client.get_registered_model("grades").latest_versions[0].version) < int(sys.argv[1]):
    client.create_model_version("grades", first.source)
client.set_registered_model_alias("grades", "live", sys.argv[1])
"""


@pytest.fixture
def registry(foreign: dict[str, RealBundle], tmp_path: Path) -> Path:
    """A directory with a copy of the registry of the model `grades`, artifacts shared."""
    source = foreign["grades"].bundle.parents[1]
    shutil.copy(source / "mlflow.db", tmp_path / "mlflow.db")
    return tmp_path


def limited_to(size: int) -> Callable[[], None]:
    """For a child in which no file can grow beyond `size` bytes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("size", [1, 100, 700, 1500])
def test_a_full_disk_leaves_the_old_bundle_as_it_was(
    registry: Path, foreign: dict[str, RealBundle], size: int
) -> None:
    """Wherever packaging meets it: exit code 1, the place is named, nothing lies beside."""
    models = write_models(registry / "models.json", "grades")
    shutil.copytree(foreign["grades"].bundle, registry / "out" / "grades")
    before = (registry / "out" / "grades" / "manifest.json").read_bytes()
    result = package(models, registry / "out", "--force", limit=limited_to(size))
    assert result.code == 1, result.err
    assert f"cannot write the bundle below {registry / 'out'}: File too large" in result.err
    assert (registry / "out" / "grades" / "manifest.json").read_bytes() == before
    assert [p.name for p in (registry / "out").iterdir()] == ["grades"]


def test_without_the_registry_only_a_pinned_bundle_is_used(
    registry: Path, foreign: dict[str, RealBundle]
) -> None:
    """Exit code 75 without a pin and with another one, 0 with the right one."""
    shutil.copytree(foreign["grades"].bundle, registry / "out" / "grades")
    digest = read_manifest(registry / "out" / "grades").source_digest
    away = {"registry": {"tracking_uri": "http://127.0.0.1:9"}}
    codes = {}
    for pin in (None, "0" * 64, digest):
        models = write_models(registry / "models.json", "grades", digest=pin)
        models.write_text(json.dumps(json.loads(models.read_text()) | away))
        variables = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        codes[pin] = package(models, registry / "out", "--force", variables=variables).code
    assert codes == {None: 75, "0" * 64: 75, digest: 0}


def test_the_right_pin_packages(registry: Path, foreign: dict[str, RealBundle]) -> None:
    """The digest of the registered files is the same every time."""
    digest = read_manifest(foreign["grades"].bundle).source_digest
    right = write_models(registry / "right.json", "grades", digest=digest)
    assert package(right, registry / "right").code == 0
    assert "manifest.json" in bundle_files(registry / "right" / "grades")


def test_a_bundle_of_an_alias_stands_until_the_alias_moves(registry: Path) -> None:
    """The registry is asked which version it names; version and alias are recorded and printed."""
    models = write_models(registry / "models.json", "grades", version=None, alias="live")
    made: list[Manifest] = []
    for version, stands in (("1", False), ("1", True), ("2", False)):
        command(registry, "-c", MOVE_ALIAS, version)
        result = package(models, registry / "out")
        assert result.code == 0, result.err
        assert ("bundle stands" in result.err) == stands
        assert f"grades version {version} (alias live)" in result.out
        made.append(read_manifest(registry / "out" / "grades"))
    assert [(m.version, m.alias) for m in made] == [("1", "live"), ("1", "live"), ("2", "live")]
    assert made[0].digest == made[1].digest
    assert made[0].source_digest == made[2].source_digest


def test_the_outlier_share_is_the_stated_one_until_the_configuration_names_another(
    attrition: RealBundle, tmp_path: Path
) -> None:
    """As much of the reference is flagged as it allows; a change makes a new bundle."""
    work = attrition.bundle.parents[1]
    shutil.copytree(attrition.bundle, tmp_path / attrition.name)
    document = json.loads((work / "models.json").read_text())
    for share, configured in ((0.015, False), (0.05, True)):
        if configured:
            document["models"][0]["outlier_share"] = share
        models = work / f"share-{share}.json"
        models.write_text(json.dumps(document))
        result = package(models, tmp_path)
        assert result.code == 0, result.err
        assert ("bundle stands" in result.err) != configured
        bundle = tmp_path / attrition.name
        outlier = read_manifest(bundle).outlier
        assert outlier is not None
        assert outlier.flagged_share is not None
        scores = pq.read_table(bundle / "reference/reference.parquet")["outlier_score"].to_numpy()
        assert outlier.share == share
        assert outlier.flagged_share == (scores > outlier.threshold).mean()
        assert share - 1 / len(scores) < outlier.flagged_share <= share
        assert f"outliers {outlier.flagged_share:.2%} of the reference" in result.out
