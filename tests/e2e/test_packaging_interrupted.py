"""`trilane package` ended from outside, and twice at once: the bundle that stood stands."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scoring.manifest import Manifest, read_manifest, verify_files
from tests.support.bundles import RealBundle, write_models
from tests.support.package_runs import arguments, environment, package

# What lies in the output directory at some moments of packaging, in their order.
MOMENTS = (".grades.lock", ".grades.*/model/MLmodel", ".grades.*/manifest.json")


@pytest.fixture
def models(foreign: dict[str, RealBundle], tmp_path: Path) -> Path:
    """A models.json beside a copy of the registry, and a bundle of its model in out/grades."""
    source = foreign["grades"].bundle
    shutil.copy(source.parents[1] / "mlflow.db", tmp_path / "mlflow.db")
    shutil.copytree(source, tmp_path / "out" / "grades")
    return write_models(tmp_path / "models.json", "grades")


def started(models: Path) -> "subprocess.Popen[str]":
    """The command, making the bundle anew."""
    return subprocess.Popen(
        [sys.executable, "-m", "bundling", *arguments(models, models.parent / "out", "--force")],
        cwd=models.parent,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def wait_for(process: "subprocess.Popen[str]", output: Path, pattern: str) -> None:
    """Until there is a file of the pattern."""
    while process.poll() is None and not any(output.glob(pattern)):
        time.sleep(0.001)


def intact(output: Path) -> Manifest:
    """The manifest of the bundle, whose every file is as it says."""
    manifest = read_manifest(output / "grades")
    verify_files(output / "grades", manifest)
    return manifest


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(
    ("number", "codes"), [(signal.SIGTERM, {130, -15}), (signal.SIGKILL, {-9})]
)
def test_a_packager_that_is_ended_leaves_an_intact_bundle(
    models: Path, moment: str, number: signal.Signals, codes: set[int]
) -> None:
    """SIGTERM removes what was begun, as Ctrl-C does; after SIGKILL the next run does."""
    output = models.parent / "out"
    before = intact(output)
    process = started(models)
    wait_for(process, output, moment)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    # Where the manifest is written the work is all but done: it may be in its place already.
    done = moment == MOMENTS[-1] and intact(output) != before
    assert done or intact(output) == before
    assert process.returncode in (codes | {0} if done else codes), said
    if number == signal.SIGTERM:
        assert [path.name for path in output.iterdir()] == ["grades"]
    again = package(models, output, "--force")
    assert again.code == 0, again.err
    assert intact(output) != before
    assert [path.name for path in output.iterdir()] == ["grades"]


def test_a_second_packager_is_told_to_wait(models: Path) -> None:
    """Exit code 75 while the first one works, which is not disturbed."""
    output = models.parent / "out"
    before = intact(output)
    first = started(models)
    wait_for(first, output, MOMENTS[1])
    first.send_signal(signal.SIGSTOP)
    second = package(models, output, "--force")
    first.send_signal(signal.SIGCONT)
    _, said = first.communicate(timeout=60)
    assert second.code == 75
    assert f"is held by process {first.pid} on" in second.err
    assert first.returncode == 0, said
    assert intact(output) != before
    assert [path.name for path in output.iterdir()] == ["grades"]
