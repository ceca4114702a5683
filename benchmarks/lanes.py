"""Time per record of `score`, beside its floor and a peer, in one run on one machine.

    python -m benchmarks.lanes [--bundle DIRECTORY] [--seconds 1]

- score: `scoring.score.score` on a validated batch: the model, the outlier detector, the outputs.
- floor: ONNX Runtime alone, on one thread, given ready matrices of the same records in one call:
  the graphs of both with nothing around them. Only for compiled bundles.
- model: `score` without the outlier detector, for the comparison with
- pyfunc: `mlflow.pyfunc` on a ready DataFrame of the same records, which has no detector.

Records are drawn from the bundle's reference with a fixed seed. All take turns, each figure is the
median of its calls, and machines differ: trust the ratios, not the microseconds.
"""

import argparse
import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from adapters.record_files.parquet_reader import column_values
from scoring.backends.onnx import matrix, open_session
from scoring.model import ModelBundle
from scoring.model_loader import load_model
from scoring.records import RecordBatch
from scoring.schema import FieldType
from scoring.score import score
from scoring.validation import validate_columns

SIZES: Final = (1, 32, 1_000, 100_000)
BUNDLES: Final = ("var/demo/bundles/employee_attrition", "var/bundles/employee_attrition")
PACKAGES: Final = ("numpy", "onnxruntime", "mlflow", "scikit-learn", "pandas")
SEED: Final = 7

Call = Callable[[], object]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table; returns 0, or 1 when there is no bundle."""
    parser = argparse.ArgumentParser(prog="benchmarks.lanes", description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=_default_bundle(), help="Bundle directory.")
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="Time for each contestant at each size."
    )
    options = parser.parse_args(argv)
    if not (options.bundle / "manifest.json").exists():
        print(f"{options.bundle} is no bundle; `make demo` makes one")
        return 1
    model = load_model(options.bundle, datetime.now(UTC))
    records = _reference(options.bundle, model)
    predict = _pyfunc(options.bundle, model)
    _print_versions(model)
    print("records        score      floor      model     pyfunc  score/floor  pyfunc/model")
    for size in SIZES:
        positions = np.random.default_rng(SEED).integers(0, len(records), size)
        batch = records.take(positions)
        calls = {
            "score": _scoring(model, batch),
            "model": _scoring(replace(model, outlier=None), batch),
            "pyfunc": predict(batch),
        }
        floor = _floor(options.bundle, model, batch)
        if floor is not None:
            calls["floor"] = floor
        _print_row(size, _measured(calls, options.seconds))
    return 0


def _default_bundle() -> Path:
    return next((Path(b) for b in BUNDLES if Path(b).exists()), Path(BUNDLES[-1]))


def _reference(bundle: Path, model: ModelBundle) -> RecordBatch:
    reference = model.manifest.reference
    if reference is None:
        raise SystemExit(f"{bundle} has no reference to draw records from")
    table = pq.read_table(bundle / reference.path, columns=list(model.schema.names))
    columns = {name: column_values(table[name].combine_chunks()) for name in model.schema.names}
    ids = [str(i) for i in range(table.num_rows)]
    return validate_columns(model.schema, columns, ids).batch


def _scoring(model: ModelBundle, batch: RecordBatch) -> Call:
    return lambda: score(model, batch)


def _floor(bundle: Path, model: ModelBundle, batch: RecordBatch) -> Call | None:
    spec, outlier = model.manifest.backend, model.manifest.outlier
    if spec.kind != "onnx":
        return None
    features = model.schema.features
    numeric = [i for i, f in enumerate(features) if f.is_numeric]
    text = [i for i, f in enumerate(features) if f.type is FieldType.STRING]
    dtype = np.dtype(np.float32 if spec.float_type == "float" else np.float64)
    feeds: dict[str, Any] = {}
    if numeric:
        feeds["numeric"] = matrix(batch, numeric, dtype)
    if text:
        feeds["text"] = matrix(batch, text, np.dtype(object))
    runs = [(open_session(bundle / spec.path), feeds)]
    if outlier is not None:
        places = [model.schema.index(name) for name in outlier.features]
        numbers = matrix(batch, places, np.dtype(np.float64))
        runs.append((open_session(bundle / outlier.path), {"numeric": numbers}))
    return lambda: [session.run(None, feed) for session, feed in runs]


def _pyfunc(bundle: Path, model: ModelBundle) -> Callable[[RecordBatch], Call]:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow.pyfunc
    import pandas as pd

    registered = mlflow.pyfunc.load_model(str(bundle / "model"))

    def prepared(batch: RecordBatch) -> Call:
        frame = pd.DataFrame(dict(zip(model.schema.names, batch.columns, strict=True)))
        return lambda: registered.predict(frame)

    return prepared


def _measured(calls: Mapping[str, Call], seconds: float) -> dict[str, float]:
    """Median seconds per call of each, taking turns until each has had its time."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    while any(sum(times) < seconds or len(times) < 3 for times in taken.values()):
        for name, call in calls.items():
            if sum(taken[name]) < seconds or len(taken[name]) < 3:
                started = time.perf_counter()
                call()
                taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in taken.items()}


def _print_versions(model: ModelBundle) -> None:
    version, backend = model.version, model.manifest.backend
    packages = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    print(f"Python {platform.python_version()}, {', '.join(packages)}")
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs")
    print(
        f"{version.name} version {version.version} digest {version.digest[:12]}, "
        f"{backend.kind}, call width {backend.call_width}, {len(model.schema.features)} features"
    )
    print("microseconds per record:")


def _print_row(size: int, seconds: Mapping[str, float]) -> None:
    times = {name: value / size * 1e6 for name, value in seconds.items()}
    cells = [
        f"{times[n]:.2f}" if n in times else "-" for n in ("score", "floor", "model", "pyfunc")
    ]
    above = f"{times['score'] / times['floor']:.2f}" if "floor" in times else "-"
    ahead = f"{times['pyfunc'] / times['model']:.2f}"
    print(f"{size:>7,} " + " ".join(f"{cell:>10}" for cell in cells) + f"{above:>13}{ahead:>14}")


if __name__ == "__main__":
    raise SystemExit(main())
