"""`trilane package` when something is wrong: what it says, and that it leaves nothing half-done."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scoring.manifest import bundle_files, read_manifest
from tests.support.bundles import RealBundle, write_models


def package(
    models: Path, output: Path, limit: Callable[[], None] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run the command beside the registry; `limit` is called in the child before it starts."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "bundling", "--models", str(models)),
            *("--output", str(output), "--force"),
        ],
        cwd=models.parent,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
        env={k: v for k, v in os.environ.items() if not k.startswith("TRILANE_")},
    )


@pytest.fixture
def registry(foreign: dict[str, RealBundle], tmp_path: Path) -> Path:
    """A directory with a copy of the registry of the model `grades`, artifacts shared."""
    source = foreign["grades"].bundle.parents[1]
    shutil.copy(source / "mlflow.db", tmp_path / "mlflow.db")
    return tmp_path


def test_an_unknown_version_is_named_and_nothing_is_left(registry: Path) -> None:
    """Exit code 1."""
    models = write_models(registry / "models.json", "grades", version="99")
    result = package(models, registry / "out")
    assert result.returncode == 1
    assert "Model Version (name=grades, version=99) not found" in result.stderr
    assert list((registry / "out").iterdir()) == []


def test_a_full_disk_leaves_the_old_bundle_as_it_was(
    registry: Path, foreign: dict[str, RealBundle]
) -> None:
    """Exit code 1; the bundle that stood still stands, and nothing lies beside it."""
    models = write_models(registry / "models.json", "grades")
    shutil.copytree(foreign["grades"].bundle, registry / "out" / "grades")
    before = (registry / "out" / "grades" / "manifest.json").read_bytes()

    def no_file_beyond_100_bytes() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    result = package(models, registry / "out", no_file_beyond_100_bytes)
    assert result.returncode == 1, result.stderr
    assert "trilane package:" in result.stderr
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
        result = package(models, registry / "out")
        codes[pin] = result.returncode
    assert codes == {None: 75, "0" * 64: 75, digest: 0}


def test_the_pin_is_enforced_against_the_registry(
    registry: Path, foreign: dict[str, RealBundle]
) -> None:
    """The right digest packages, another one is refused; the digest is the same every time."""
    digest = read_manifest(foreign["grades"].bundle).source_digest
    right = write_models(registry / "right.json", "grades", digest=digest)
    wrong = write_models(registry / "wrong.json", "grades", digest="0" * 64)
    assert package(right, registry / "right").returncode == 0
    assert "manifest.json" in bundle_files(registry / "right" / "grades")
    refused = package(wrong, registry / "wrong")
    assert refused.returncode == 1
    assert digest in refused.stderr
    assert list((registry / "wrong").iterdir()) == []
