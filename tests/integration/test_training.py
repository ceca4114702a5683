"""The example's training against real MLflow stores: SQLite in a directory, and a server."""

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest

from bundling.config import Registry
from scoring.errors import ConfigurationError, ServiceUnavailable
from training.data import (
    CLASSES,
    FEATURES,
    NUMERIC_FEATURES,
    TEXT_FEATURES,
    Employees,
    load_employees,
    write_original_csv,
)
from training.outlier import fit_detector
from training.register import Registered, register
from training.tracking import Target, opened
from training.train import Trained, families, train

ROOT = Path(__file__).parents[2]
SEED = 7


@dataclass(frozen=True, slots=True)
class Store:
    """A SQLite store with one registered version of the full training, downloaded."""

    target: Target
    employees: Employees
    trained: Trained
    registered: Registered
    files: Path


@pytest.fixture(scope="module", autouse=True)
def _mlflow_state() -> Iterator[None]:
    """MLflow exports its addresses to the environment; later tests must not find ours there."""
    yield
    import mlflow

    mlflow.set_registry_uri("")
    mlflow.set_tracking_uri(None)
    os.environ.pop("MLFLOW_REGISTRY_URI", None)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Train on the whole table, register, download the version; all in a directory of its own."""
    base = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        yield _store(base)


def _store(base: Path) -> Store:
    target = Target(Registry(f"sqlite:///{base}/var/mlflow.db"), "employee_attrition")
    employees = load_employees(None)
    trained = train(employees, SEED)
    detector = fit_detector(employees, SEED)
    with opened(target) as experiment_id:
        made = register(target, experiment_id, employees, trained, detector, {})
    return Store(target, employees, trained, made, _download(target, "1", base / "files"))


def _download(target: Target, version: str, to: Path) -> Path:
    with opened(target):
        import mlflow

        uri = f"models:/{target.model_name}/{version}"
        return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(to)))


def test_winner_is_good_and_calibrated(store: Store) -> None:
    """The search covers both families, and its winner reaches the known figures."""
    trained = store.trained
    assert {c.family for c in trained.candidates} == {"logistic_regression", "random_forest"}
    assert trained.candidates[0].roc_auc == max(c.roc_auc for c in trained.candidates)
    assert trained.roc_auc > 0.82
    assert trained.calibration.brier_score < 0.10
    assert trained.calibration.expected_calibration_error < 0.05


def test_training_is_reproducible(store: Store) -> None:
    """The same table and seed give the same candidates with the same figures."""
    first, second = store.trained, train(store.employees, SEED)
    assert first.calibration == second.calibration
    assert [(c.family, c.params, c.roc_auc, c.brier_score) for c in first.candidates] == [
        (c.family, c.params, c.roc_auc, c.brier_score) for c in second.candidates
    ]


def test_version_is_registered_as_champion(store: Store) -> None:
    """The first training makes version 1 from its run and points the alias at it."""
    with opened(store.target):
        from mlflow import MlflowClient

        champion = MlflowClient().get_model_version_by_alias("employee_attrition", "champion")
    assert (str(champion.version), champion.run_id) == ("1", store.registered.run_id)
    assert champion.status == "READY"


def test_run_carries_figures_candidates_and_plot(store: Store) -> None:
    """The run has ROC AUC, Brier score and calibration, one child per candidate, and a plot."""
    with opened(store.target) as experiment_id:
        from mlflow import MlflowClient

        client = MlflowClient()
        run = client.get_run(store.registered.run_id)
        children = client.search_runs(
            [experiment_id], f"tags.`mlflow.parentRunId` = '{store.registered.run_id}'"
        )
        artifacts = {a.path for a in client.list_artifacts(store.registered.run_id)}
    assert run.info.status == "FINISHED"
    assert run.data.metrics["roc_auc"] == store.trained.roc_auc
    assert {"brier_score", "expected_calibration_error"} <= set(run.data.metrics)
    assert len(children) == len(store.trained.candidates)
    assert {"calibration.json", "reliability.png"} <= artifacts


def test_everything_stays_beside_the_store(store: Store) -> None:
    """Artifacts go next to the database; the working directory gets no mlruns and no database."""
    base = store.files.parent
    assert {p.name for p in base.iterdir()} == {"var", store.files.name}
    assert {p.name for p in (base / "var").iterdir()} == {"mlflow.db", "mlartifacts"}
    assert list((base / "var/mlartifacts").rglob("MLmodel"))


def test_signature_states_types_and_classes(store: Store) -> None:
    """Every feature is required, long or string; the output is two columns, their classes named."""
    with opened(store.target):
        from mlflow.models import Model

        model = Model.load(str(store.files))
    inputs = model.signature.inputs.to_dict()
    assert [c["name"] for c in inputs] == FEATURES
    assert all(c["required"] for c in inputs)
    assert {c["name"]: c["type"] for c in inputs} == {
        name: "string" if name in TEXT_FEATURES else "long" for name in FEATURES
    }
    assert model.signature.outputs.to_dict() == [
        {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": (-1, 2)}}
    ]
    assert model.metadata == {"classes": list(CLASSES)}


def test_version_contains_no_pickle(store: Store) -> None:
    """Model and detector are skops files; the tree has exactly the promised parts."""
    files = {str(p.relative_to(store.files)) for p in store.files.rglob("*") if p.is_file()}
    assert {
        "MLmodel",
        "model.skops",
        "input_example.json",
        "trilane/outlier/MLmodel",
        "trilane/outlier/model.skops",
        "trilane/outlier/outlier.json",
        "trilane/reference/reference.parquet",
    } <= files
    assert not [f for f in files if f.endswith((".pkl", ".pickle", ".joblib"))]


def test_logged_model_scores_as_trained(store: Store) -> None:
    """The registered model gives the trained pipeline's probabilities through pyfunc."""
    inputs = store.employees.inputs
    with opened(store.target):
        import mlflow

        scores = mlflow.pyfunc.load_model(str(store.files)).predict(inputs)
    assert scores.shape == (1470, 2)
    np.testing.assert_array_equal(scores, store.trained.pipeline.predict_proba(inputs))


def test_input_example_is_real_records(store: Store) -> None:
    """The input example holds the first employees of the table."""
    example = json.loads((store.files / "input_example.json").read_text(encoding="utf-8"))
    assert example["columns"] == FEATURES
    assert example["data"] == store.employees.inputs.head(3).to_numpy(dtype=object).tolist()


def test_reference_is_the_training_inputs(store: Store) -> None:
    """The reference has the features only, in signature order, as int64 and string."""
    table = pq.read_table(store.files / "trilane/reference/reference.parquet")
    assert table.column_names == FEATURES
    assert {str(field.type) for field in table.schema} == {"int64", "string"}
    assert table.to_pydict() == store.employees.inputs.to_dict(orient="list")


def test_detector_flags_about_its_share(store: Store) -> None:
    """The detector stored with the model flags one to two percent of the training rows."""
    directory = store.files / "trilane/outlier"
    facts = json.loads((directory / "outlier.json").read_text(encoding="utf-8"))
    assert facts["features"] == NUMERIC_FEATURES
    with opened(store.target):
        import mlflow

        detector = mlflow.sklearn.load_model(str(directory))
    scores = detector.score_samples(store.employees.frame[facts["features"]])
    assert 0.01 <= float((scores < facts["offset"]).mean()) <= 0.02


def test_another_training_is_another_version(store: Store) -> None:
    """Registering again makes version 2, moves the alias, and leaves version 1 as it was."""
    before = {p.name: p.read_bytes() for p in store.files.iterdir() if p.is_file()}
    detector = fit_detector(store.employees, SEED + 1)
    with opened(store.target) as experiment_id:
        from mlflow import MlflowClient

        made = register(
            store.target, experiment_id, store.employees, store.trained, detector, {"a": "b"}
        )
        champion = MlflowClient().get_model_version_by_alias("employee_attrition", "champion")
    assert (made.version, str(champion.version)) == ("2", "2")
    again = _download(store.target, "1", store.files.parent / "again")
    after = {p.name: p.read_bytes() for p in again.iterdir() if p.is_file()}
    before.pop("registered_model_meta"), after.pop("registered_model_meta")
    assert after == before


@pytest.mark.parametrize("family", families(SEED), ids=lambda family: family.name)
def test_every_family_can_be_compiled(family: object, store: Store) -> None:
    """Whichever family wins, skl2onnx turns its pipeline into a graph with the same scores."""
    import onnxruntime
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import Int64TensorType, StringTensorType

    inputs, labels = store.employees.inputs.head(300), store.employees.labels.head(300)
    pipeline = family.pipeline.fit(inputs, labels)  # type: ignore[attr-defined]
    types = [
        (name, (StringTensorType if name in TEXT_FEATURES else Int64TensorType)([None, 1]))
        for name in FEATURES
    ]
    graph = to_onnx(pipeline, initial_types=types, options={"zipmap": False})
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    feeds = {name: inputs[[name]].to_numpy() for name in FEATURES}
    scores = session.run(None, feeds)[1]
    np.testing.assert_allclose(scores, pipeline.predict_proba(inputs), atol=1e-5)


def test_unreachable_server_is_transient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracking server that does not answer is a reason to try again."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    target = Target(Registry(f"http://127.0.0.1:{_free_port()}"), "m")
    with pytest.raises(ServiceUnavailable, match="MLflow: "), opened(target):
        pass


def test_wrong_address_is_terminal() -> None:
    """A tracking address MLflow cannot make sense of is an error of configuration."""
    with (
        pytest.raises(ConfigurationError, match="MLflow: "),
        opened(Target(Registry("ftp://x"), "m")),
    ):
        pass


def test_store_that_cannot_be_made_is_terminal(tmp_path: Path) -> None:
    """A SQLite store below a file is refused at once, with the directory named."""
    (tmp_path / "file").touch()
    target = Target(Registry(f"sqlite:///{tmp_path}/file/mlflow.db"), "m")
    with pytest.raises(ConfigurationError, match=f"{tmp_path}/file: "), opened(target):
        pass


def test_notebook_runs_the_same_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The Databricks notebook registers catalog.schema.model from the CSV its widgets name."""
    caplog.set_level("INFO")
    small = Employees(load_employees(None).frame.head(300))
    write_original_csv(small.frame, tmp_path / "hr.csv")
    given = {
        "tracking_uri": f"sqlite:///{tmp_path}/mlflow.db",
        "registry_uri": "",
        "data_path": str(tmp_path / "hr.csv"),
    }
    defaults: dict[str, str] = {}
    widgets = SimpleNamespace(
        text=defaults.__setitem__, get=lambda name: given.get(name, defaults[name])
    )
    runtime = ModuleType("databricks.sdk.runtime")
    runtime.dbutils = SimpleNamespace(widgets=widgets)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "databricks.sdk.runtime", runtime)

    path = ROOT / "training/notebooks/train_databricks.py"
    assert path.read_text(encoding="utf-8").startswith("# Databricks notebook source\n")
    registered = runpy.run_path(str(path))["registered"]
    assert (registered.name, registered.version) == ("main.default.employee_attrition", "1")
    assert f"registered model={registered.name} version=1 alias=champion" in caplog.messages


def test_help_imports_nothing_heavy() -> None:
    """`--help` answers without MLflow, scikit-learn, pandas or NumPy."""
    code = (
        "import sys\nfrom training.__main__ import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as done:\n    assert done.code == 0\n"
        "assert not {'mlflow', 'sklearn', 'pandas', 'numpy'} & set(sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--data" in shown.stdout


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The URL of a real MLflow server that keeps everything in `tmp_path`."""
    port = _free_port()
    log = tmp_path / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"),
                *("--port", str(port), "--workers", "1"),
                *("--backend-store-uri", f"sqlite:///{tmp_path}/server.db"),
                *("--artifacts-destination", str(tmp_path / "artifacts")),
            ],
            cwd=tmp_path,
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_healthy(url, process, log)
            yield url
        finally:
            # The group's children too; nothing in there outlives the test.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def test_command_trains_against_a_server(server: str, tmp_path: Path) -> None:
    """`python -m training` registers on a remote server, says each step, prints the version."""
    models = tmp_path / "models.json"
    content = json.loads((ROOT / "config/models.json").read_text(encoding="utf-8"))
    content["registry"]["tracking_uri"] = server
    models.write_text(json.dumps(content), encoding="utf-8")
    write_original_csv(load_employees(None).frame.head(300), tmp_path / "hr.csv")
    command = [sys.executable, "-m", "training", "--models", str(models)]
    done = subprocess.run(
        [*command, "--data", str(tmp_path / "hr.csv")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("employee_attrition version 1 run ")
    for step in ("loaded", "searched", "winner", "logged the model", "registered"):
        assert step in done.stderr
    target = Target(Registry(server), "employee_attrition")
    files = _download(target, "1", tmp_path / "files")
    assert (files / "trilane/outlier/model.skops").is_file()
    assert (files / "trilane/reference/reference.parquet").is_file()


def test_command_names_a_missing_file(tmp_path: Path) -> None:
    """Data that is not there ends the command with exit code 1 and the path."""
    command = [sys.executable, "-m", "training", "--data", str(tmp_path / "absent.csv")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{tmp_path}/absent.csv: cannot be read" in done.stderr


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/health", timeout=1).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError(f"no answer within 60 s: {log.read_text()}")
