"""Which kinds of models are compiled, and what that gains: a Markdown table, in one run.

    python -m benchmarks.families [--seconds 0.5]

The models are those of the end-to-end tests (`tests/support/zoo.py`), registered as people register
them and packaged with the defaults. Both contestants take the same validated batch: `score` is
`scoring.score.score`, `pyfunc` makes a DataFrame of it and calls `mlflow.pyfunc`. A model that is
not compiled is called through pyfunc by `score` too, always with its call width.
"""

import argparse
from collections.abc import Sequence
from contextlib import chdir
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.measure import Call, measured, versions
from bundling.config import ModelEntry, Registry
from bundling.package import package_model
from bundling.place import held
from scoring.backends.pyfunc import PyfuncBackend
from scoring.manifest import Manifest
from scoring.model import ModelBundle
from scoring.model_loader import load_model
from scoring.records import RecordBatch
from scoring.score import score
from scoring.validation import validate_rows
from tests.support.zoo import ZooModel, register, zoo

SIZES: Final = (1, 1_000)
PACKAGES: Final = (
    "numpy", "onnxruntime", "mlflow", "scikit-learn", "skl2onnx", "xgboost-cpu", "lightgbm",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a row per model; returns 0."""
    summary = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="benchmarks.families", description=summary)
    parser.add_argument("--seconds", type=float, default=0.5, help="Time for each figure.")
    options = parser.parse_args(argv)
    print(versions(PACKAGES))
    print()
    print("| model | backend | difference | 1 record | 1,000 records | reasons |")
    print("|---|---|---|---|---|---|")
    with TemporaryDirectory() as scratch, chdir(scratch):  # MLflow puts artifacts there
        registry = Registry(f"sqlite:///{scratch}/mlflow.db")
        register(registry.tracking_uri)
        for model in zoo().values():
            bundle = Path(scratch, "bundles", model.name)
            _package(model, registry, bundle)
            print(_row(model, bundle, options.seconds), flush=True)
    return 0


def _package(model: ZooModel, registry: Registry, bundle: Path) -> None:
    entry = ModelEntry(model.name, "champion", version="1", **model.entry)
    with held(bundle):
        package_model(entry, registry, bundle, datetime.now(UTC), force=True)


def _row(model: ZooModel, bundle: Path, seconds: float) -> str:
    loaded = load_model(bundle, datetime.now(UTC))
    manifest = loaded.manifest
    registered = PyfuncBackend(bundle / "model", loaded.schema, manifest.output.raw)
    rows = model.rows(SIZES[-1])
    batch = validate_rows(loaded.schema, rows, [str(i) for i in range(len(rows))]).batch
    gains = [_gain(loaded, registered, batch.slice(0, size), seconds) for size in SIZES]
    family = (model.register.__doc__ or model.name).splitlines()[0].rstrip(".")
    cells = [family, _backend(manifest), _difference(manifest), *gains, manifest.reasons.method]
    return f"| {' | '.join(cells)} |"


def _gain(model: ModelBundle, registered: PyfuncBackend, batch: RecordBatch, seconds: float) -> str:
    calls: dict[str, Call] = {
        "score": lambda: score(model, batch),
        "pyfunc": lambda: registered.compute(batch),
    }
    taken = measured(calls, seconds)
    return f"{taken['score'] * 1e6:,.0f} µs, {taken['pyfunc'] / taken['score']:.1f} x"


def _backend(manifest: Manifest) -> str:
    backend = manifest.backend
    if backend.kind == "onnx":
        return "ONNX, float64" if backend.float_type == "double" else "ONNX, float32"
    return f"pyfunc: {backend.reason}"


def _difference(manifest: Manifest) -> str:
    return f"{manifest.parity.max_difference:.0e}" if manifest.backend.kind == "onnx" else "0"


if __name__ == "__main__":
    raise SystemExit(main())
