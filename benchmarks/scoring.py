"""Time per record of `score`, beside scikit-learn, pyfunc and bare ONNX Runtime, in one run.

    python -m benchmarks.scoring [--seconds 1]

Three classifiers of the shipped example's 30 columns, registered and packaged as any model is, at
1, 32, 1,000 and 100,000 records drawn from the table with a fixed seed:

- score: `scoring.score.score` on a validated batch, with as many threads as there are CPUs.
- scikit-learn: `predict_proba` of the fitted pipeline on a ready DataFrame.
- pyfunc: `mlflow.pyfunc` on the same DataFrame, which is what `mlflow models serve` calls.
- ORT: the bundle's graph in a bare ONNX Runtime session on ready matrices, the better of one thread
  and as many as there are CPUs. This is the floor: nothing is converted, checked or named.
- skl2onnx: the graph the converter makes, one input per column, likewise; where it makes one.

`with reasons` is `score` with five reasons per record, up to 1,000 records. Machines differ: trust
the ratios.
"""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.attrition_models import BenchModel, packaged
from benchmarks.measure import Call, measured, versions
from scoring.backends.onnx import OnnxGraph
from scoring.model import ModelBundle
from scoring.model_loader import load_model
from scoring.records import RecordBatch
from scoring.score import score
from scoring.validation import validate_columns
from training.data import CLASSES

if TYPE_CHECKING:
    import pandas as pd

SIZES: Final = (1, 32, 1_000, 100_000)
REASONS: Final = 5
REASONS_UP_TO: Final = 1_000
SEED: Final = 7
PACKAGES: Final = ("numpy", "onnxruntime", "mlflow", "scikit-learn", "skl2onnx", "pandas")
CPUS: Final = os.cpu_count() or 1
COLUMNS: Final = ("score", "scikit-learn", "pyfunc", "ORT", "skl2onnx", "with reasons")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table per model; returns 0."""
    parser = argparse.ArgumentParser(prog="benchmarks.scoring", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="Time for each contestant at each size."
    )
    options = parser.parse_args(argv)
    os.environ["OMP_NUM_THREADS"] = str(CPUS)
    print(versions(PACKAGES))
    with TemporaryDirectory() as scratch, chdir(scratch):  # MLflow puts artifacts there
        for made in packaged(Path(scratch)):
            _print_model(made, options.seconds)
    return 0


def _print_model(made: BenchModel, seconds: float) -> None:
    model = load_model(made.bundle, datetime.now(UTC), threads=CPUS)
    backend, parity = model.manifest.backend, model.manifest.parity
    print(
        f"\n{made.name}: {backend.kind}, {backend.float_type}, call width {backend.call_width}, "
        f"{parity.max_difference:.0e} from the registered model, "
        f"reasons by {model.manifest.reasons.method}"
    )
    print(f"{'records':>8} " + " ".join(f"{name:>13}" for name in COLUMNS) + "   µs per record")
    table = _Contestants(made, model)
    for size in SIZES:
        _print_row(size, measured(table.at(size), seconds))


def _print_row(size: int, seconds: Mapping[str, float]) -> None:
    micro = {name: value / size * 1e6 for name, value in seconds.items()}
    cells = [f"{micro[name]:.2f}" if name in micro else "-" for name in COLUMNS]
    print(f"{size:>8,} " + " ".join(f"{cell:>13}" for cell in cells))
    peers = {n: micro[n] for n in ("scikit-learn", "ORT", "skl2onnx") if n in micro}
    best = min(peers, key=lambda name: peers[name])
    said = [
        f"{size / seconds['score']:,.0f} records/s",
        f"{micro['pyfunc'] / micro['score']:.1f} x as fast as pyfunc",
        f"{peers[best] / micro['score']:.2f} x as fast as {best}",
    ]
    if "with reasons" in micro:
        said.append(f"with reasons {micro['with reasons'] / micro['score']:.1f} x the time")
    print(f"{'':>8} {', '.join(said)}", flush=True)


class _Contestants:
    """Everything that can be prepared before the clock runs."""

    def __init__(self, made: BenchModel, model: ModelBundle) -> None:
        import mlflow.pyfunc
        import threadpoolctl  # type: ignore[import-untyped]

        # Packaging keeps this process to one thread, as the lanes do with pyfunc; peers get all.
        threadpoolctl.threadpool_limits(CPUS)
        self._made = made
        self._model = model
        self._pyfunc = mlflow.pyfunc.load_model(str(made.bundle / "model"))
        backend = model.manifest.backend
        self._graph = made.bundle / backend.path
        self._inputs = OnnxGraph(self._graph, model.schema, backend.float_type)
        self._converted = _converted(made)
        self._batch = _validated(model, made.inputs)

    def at(self, size: int) -> dict[str, Call]:
        """A call of each contestant on the same records."""
        places = np.random.default_rng(SEED).integers(0, len(self._batch), size)
        batch = self._batch.take(places)
        frame = self._made.inputs.iloc[places].reset_index(drop=True)
        calls: dict[str, Call] = {
            "score": lambda: score(self._model, batch),
            "scikit-learn": lambda: self._made.pipeline.predict_proba(frame),
            "pyfunc": lambda: self._pyfunc.predict(frame),
        }
        if size <= REASONS_UP_TO:
            calls["with reasons"] = lambda: score(self._model, batch, REASONS)
        calls["ORT"] = _quicker(self._graph.read_bytes(), self._inputs.feed(batch))
        if self._converted is not None:
            calls["skl2onnx"] = _quicker(self._converted, _column_feeds(frame))
        return calls


def _quicker(graph: bytes, feed: Mapping[str, Any]) -> Call:
    """A call of the session that is quicker on this feed: on one thread, or on all."""
    runs = {str(threads): _bare(graph, feed, threads) for threads in sorted({1, CPUS})}
    taken = measured(runs, 0.2)
    return runs[min(taken, key=lambda name: taken[name])]


def _bare(graph: bytes, feed: Mapping[str, Any], threads: int) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    output = session.get_outputs()[-1].name
    return lambda: session.run([output], feed)


def _converted(made: BenchModel) -> bytes | None:
    """The converter's own graph in float32, its usual form; None where it makes none."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    types = [
        (name, (FloatTensorType if kind.kind in "if" else StringTensorType)([None, 1]))
        for name, kind in made.inputs.dtypes.items()
    ]
    options = {id(made.pipeline): {"zipmap": False}}
    try:
        graph = convert_sklearn(made.pipeline, initial_types=types, options=options)
    except Exception:  # converters raise many unrelated types
        return None
    return bytes(graph.SerializeToString())


def _column_feeds(frame: "pd.DataFrame") -> dict[str, Any]:
    return {
        str(name): frame[[name]].to_numpy(dtype=np.float32 if kind.kind in "if" else object)
        for name, kind in frame.dtypes.items()
    }


def _validated(model: ModelBundle, frame: "pd.DataFrame") -> RecordBatch:
    columns = {str(name): frame[name].to_list() for name in frame.columns}
    batch = validate_columns(model.schema, columns, [str(i) for i in range(len(frame))]).batch
    found = score(model, batch)
    assert set(found.outputs["label"]) == set(CLASSES)  # noqa: S101
    return batch


if __name__ == "__main__":
    raise SystemExit(main())
