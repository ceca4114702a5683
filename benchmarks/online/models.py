"""Two more bundles of the shipped example's table, made once and kept under var/bench/bundles.

    python -m benchmarks.online.models DIRECTORY

`logistic_regression` is compiled and has no outlier detector. `uncompiled` is the same pipeline
inside a PythonModel, so it stays with `mlflow.pyfunc`. Run as a process of its own, because MLflow
and scikit-learn would stay in the one that measures.
"""

import shutil
import subprocess
import sys
from contextlib import chdir
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from benchmarks.online.bodies import read_manifest
from benchmarks.online.servers import BenchError

if TYPE_CHECKING:
    from benchmarks.attrition_models import BenchModel

COMPILED: Final = "logistic_regression"
UNCOMPILED: Final = "uncompiled"

_ROOT: Final = Path(__file__).parents[2]
_SOURCE: Final = Path(__file__).with_name("wrapped_model.py")
_MAKERS: Final = ("benchmarks", "bundling", "scoring", "training")
_EXAMPLES: Final = 200


def bundle_of(name: str, directory: Path) -> Path:
    """One of the two; both are made when one is absent or older than the code that makes them.

    Takes half a minute then. Raises BenchError when a model has not the backend it is here for.
    """
    bundles = {one: directory / "bundles" / one for one in (COMPILED, UNCOMPILED)}
    if not all(_is_new(bundle) for bundle in bundles.values()):
        command = [sys.executable, "-m", "benchmarks.online.models", str(directory)]
        done = subprocess.run(command, check=False, cwd=_ROOT, capture_output=True, text=True)
        if done.returncode:
            raise BenchError(f"packaging failed: {done.stderr.strip().splitlines()[-1]}")
    for one, kind in ((COMPILED, "onnx"), (UNCOMPILED, "pyfunc")):
        backend = read_manifest(bundles[one]).backend
        if backend.kind != kind:
            raise BenchError(f"{one} should be served by {kind}, but: {backend}")
    return bundles[name]


def _is_new(bundle: Path) -> bool:
    manifest = bundle / "manifest.json"
    sources = (path for name in _MAKERS for path in (_ROOT / name).rglob("*.py"))
    return manifest.exists() and manifest.stat().st_mtime > max(p.stat().st_mtime for p in sources)


def make_both(directory: Path) -> None:
    """Fit, register and package; replaces what stands there."""
    from benchmarks.attrition_models import packaged

    with TemporaryDirectory() as name, chdir(name):  # MLflow puts artifacts there
        scratch = Path(name)
        made = next(packaged(scratch))  # the logistic regression is its first
        _replace(made.bundle, directory / "bundles" / COMPILED)
        _replace(_package_wrapped(made, scratch), directory / "bundles" / UNCOMPILED)


def _package_wrapped(made: "BenchModel", scratch: Path) -> Path:
    from bundling.config import ModelEntry, Registry
    from bundling.mlflow_door import opened
    from bundling.package import package_model
    from bundling.place import held
    from training.data import CLASSES

    registry = Registry(f"sqlite:///{scratch}/mlflow.db")
    with opened(registry):
        _register_wrapped(made, scratch / "pipeline")
    entry = ModelEntry(UNCOMPILED, "champion", version="1", positive_label=CLASSES[1])
    bundle = scratch / "bundles" / UNCOMPILED
    with held(bundle):
        package_model(entry, registry, bundle, datetime.now(UTC), force=True)
    return bundle


def _register_wrapped(made: "BenchModel", pipeline: Path) -> None:
    import mlflow

    from training.data import CLASSES
    from training.register import signature

    mlflow.sklearn.save_model(
        made.pipeline, pipeline, serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS
    )
    with mlflow.start_run():
        mlflow.pyfunc.log_model(
            name="model",
            python_model=str(_SOURCE),
            artifacts={"pipeline": str(pipeline)},
            signature=signature(),
            input_example=made.inputs.head(_EXAMPLES),
            metadata={"classes": list(CLASSES)},
            registered_model_name=UNCOMPILED,
            pip_requirements=["scikit-learn"],
        )


def _replace(source: Path, target: Path) -> None:
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(source, target)


if __name__ == "__main__":
    make_both(Path(sys.argv[1]).absolute())
