"""A real `mlflow server` with users and passwords; and, run as a script, a model registered on one.

`python mlflow_server.py TRACKING_URI NAME ALIAS`, with the credentials in the environment.
"""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.package_runs import environment

ADMIN, ADMIN_PASSWORD = "admin", "the-admins-password"
_START_SECONDS = 180.0
_AUTH = """\
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = sqlite:///{directory}/users.db
admin_username = {admin}
admin_password = {password}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
grant_default_workspace_access = true
# Hashing the password takes longer than anything else that a request does.
auth_cache_ttl_seconds = 600
"""


@dataclass(frozen=True, slots=True)
class Server:
    """Where it listens, and its process."""

    uri: str
    process: "subprocess.Popen[bytes]"

    def stop(self) -> None:
        """End it and the processes it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def add_user(self, name: str, password: str) -> None:
        """A user who may read and make nothing but what is default for all."""
        _call(f"{self.uri}/api/2.0/mlflow/users/create", {"username": name, "password": password})


@contextmanager
def running(directory: Path) -> Iterator[Server]:
    """A server for the body; its users, its store and its artifacts lie in `directory`."""
    settings = directory / "basic_auth.ini"
    settings.write_text(
        _AUTH.format(directory=directory, admin=ADMIN, password=ADMIN_PASSWORD), encoding="utf-8"
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    with (directory / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"),
                *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
                *("--backend-store-uri", f"sqlite:///{directory}/mlflow.db"),
                *("--artifacts-destination", str(directory / "artifacts")),
            ],
            stdout=log,
            stderr=log,
            cwd=directory,
            start_new_session=True,
            env=environment(
                MLFLOW_AUTH_CONFIG_PATH=str(settings),
                MLFLOW_FLASK_SERVER_SECRET_KEY="signs-no-session",
                MLFLOW_DISABLE_TELEMETRY="true",
            ),
        )
    server = Server(f"http://127.0.0.1:{port}", process)
    try:
        _wait(server, directory / "server.log")
        yield server
    finally:
        server.stop()


def _wait(server: Server, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while server.process.poll() is None and time.monotonic() < deadline:
        try:
            _call(f"{server.uri}/health")
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"the server does not answer: {log.read_text(errors='replace')[-2000:]}")


def _call(url: str, document: object = None) -> None:
    token = base64.b64encode(f"{ADMIN}:{ADMIN_PASSWORD}".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, data, headers)  # noqa: S310
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310


def register(tracking_uri: str, name: str, alias: str) -> None:
    """Log a small regression as the user of the environment, and give its version the alias."""
    import mlflow
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.linear_model import Ridge

    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_experiment(name)
    frame = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})
    model = Ridge().fit(frame, frame["a"])
    with mlflow.start_run():
        made = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(frame, model.predict(frame)),
            input_example=frame.head(2),
            pip_requirements=["scikit-learn"],
            registered_model_name=name,
        )
    client = mlflow.MlflowClient()
    client.set_registered_model_alias(name, alias, str(made.registered_model_version))


if __name__ == "__main__":
    register(*sys.argv[1:])
