"""The servers that ours is measured beside: floors written here, and others' model servers."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.online.servers import BenchError, Server
from local_stack.broker import free_port

PINS: Final = Path(__file__).with_name("mlserver.txt")
MLSERVER_NAME: Final = "model"

_BIN: Final = Path(sys.executable).parent


def empty_endpoint(bundle: Path, directory: Path) -> Server:
    """An empty FastAPI endpoint that takes the model's records as pydantic models."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.online.empty_endpoint", str(bundle), str(port)]
    return Server(command, port, "/readyz", directory / "empty_endpoint.log")


def bare_echo(directory: Path) -> Server:
    """An ASGI app that decodes the JSON and answers a constant."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.online.bare_echo", str(port)]
    return Server(command, port, "/readyz", directory / "bare_echo.log")


def mlflow_server(model: Path, directory: Path) -> Server:
    """`mlflow models serve` of a model directory, in this environment, one process."""
    port = free_port()
    command = [
        *(str(_BIN / "mlflow"), "models", "serve", "--model-uri", str(model)),
        *("--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)),
    ]
    environment = {
        "PATH": f"{_BIN}{os.pathsep}{os.environ.get('PATH', '')}",  # it looks for uvicorn there
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    return Server(command, port, "/ping", directory / "mlflow.log", environment)


def mlserver(model: Path, environment: Path, directory: Path) -> Server:
    """MLServer of a model directory, without its pool of worker processes."""
    port, metrics, grpc = free_port(), free_port(), free_port()
    folder = directory / "mlserver"
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": grpc,
        "metrics_port": metrics,
        "parallel_workers": 0,
        "debug": False,
    }
    served = {
        "name": MLSERVER_NAME,
        "implementation": "mlserver_mlflow.MLflowRuntime",
        "parameters": {"uri": str(model)},
    }
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "model-settings.json").write_text(json.dumps(served), encoding="utf-8")
    command = [str(environment / "bin" / "mlserver"), "start", str(folder)]
    ready = f"/v2/models/{MLSERVER_NAME}/ready"
    variables = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    return Server(command, port, ready, directory / "mlserver.log", variables)


def install_mlserver(environment: Path) -> str:
    """Make MLServer's own environment from the pins, unless it stands; its version.

    Takes a minute or two the first time, and again where the checkout was moved, because an
    environment holds its own path. Raises BenchError when it cannot be made.
    """
    python = environment / "bin" / "python"
    stamp = environment / "pins.sha256"
    places = f"{environment.absolute()}\n{sys.executable}\n"
    digest = hashlib.sha256(places.encode() + PINS.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text(encoding="ascii") != digest:
        uv = str(_BIN / "uv")
        install = [uv, "pip", "install", "--python", str(python), "--quiet", "--require-hashes"]
        _run([uv, "venv", "--clear", "--quiet", "--python", sys.executable, str(environment)])
        _run([*install, "-r", str(PINS)])
        stamp.write_text(digest, encoding="ascii")
    return _run([str(python), "-c", "import importlib.metadata as m; print(m.version('mlserver'))"])


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise BenchError(f"MLServer's environment: {said.strip().splitlines()[-1]}") from error
    return done.stdout.strip()
