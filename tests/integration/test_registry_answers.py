"""What packaging makes of a registry's refusals: a stand-in answers with the status it is told.

The stand-in speaks to MLflow's two clients, that of an MLflow server and that of Unity Catalog. It
is no Databricks: it proves addresses, credentials and error classes, not a download.
"""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.package_runs import Ended, arguments, package, package_many

TOKEN = "dapi-not-a-real-token"
ANSWERS = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}
TERMINAL = (401, 403, 404)
REGISTRIES = {
    "server": {"tracking_uri": "http://127.0.0.1:{port}"},
    "databricks": {"tracking_uri": "databricks", "registry_uri": "databricks-uc"},
}


class StandIn(BaseHTTPRequestHandler):
    """Answers a request for the model `...sNNN` with the status NNN."""

    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        """Any method."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        wanted = re.search(r"main\.hr\.s(\d{3})", self.path + body)
        status = int(wanted[1]) if wanted else 200
        if wanted:
            self.asked.append((self.path, self.headers.get("authorization")))
        document = {"error_code": ANSWERS[status], "message": "words"} if wanted else {}
        answer = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where the stand-in listens."""
    StandIn.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), StandIn) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def ended(port: int, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """How packaging ended, by registry and status."""
    work = tmp_path_factory.mktemp("answers")
    runs = {}
    for kind, registry in REGISTRIES.items():
        for status in ANSWERS:
            model = {"name": f"main.hr.s{status}", "alias": "champion", "role": "champion"}
            addresses = {key: value.format(port=port) for key, value in registry.items()}
            models = work / f"{kind}-{status}.json"
            models.write_text(json.dumps({"registry": addresses, "models": [model]}))
            runs[f"{kind} {status}"] = arguments(models, work / "out")
    variables = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": "1",
        "MLFLOW_TRACKING_TOKEN": TOKEN,
        "DATABRICKS_HOST": f"http://127.0.0.1:{port}",
        "DATABRICKS_TOKEN": TOKEN,
    }
    return package_many(work, runs, variables)


@pytest.mark.parametrize("kind", REGISTRIES)
@pytest.mark.parametrize("status", ANSWERS)
def test_a_refusal_is_sorted_by_what_can_be_done(
    ended: dict[str, Ended], kind: str, status: int
) -> None:
    """Exit code 1 where somebody must repair something, 75 where the same may work later."""
    result = ended[f"{kind} {status}"]
    assert result.code == (1 if status in TERMINAL else 75), result.err
    assert f"main.hr.s{status}" in result.err
    assert TOKEN not in result.err + result.out
    if status in (401, 403):
        assert (
            "DATABRICKS_HOST" if kind == "databricks" else "MLFLOW_TRACKING_TOKEN"
        ) in result.err


def test_without_credentials_the_variables_of_databricks_are_named(tmp_path: Path) -> None:
    """Before anything is asked."""
    model = {"name": "main.hr.attrition", "alias": "champion", "role": "champion"}
    document = {"registry": REGISTRIES["databricks"], "models": [model]}
    (tmp_path / "models.json").write_text(json.dumps(document))
    result = package(tmp_path / "models.json", tmp_path / "out", variables={"HOME": str(tmp_path)})
    assert result.code == 1, result.err
    assert "DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET" in result.err
    assert "Traceback" not in result.err


def test_the_credentials_of_the_environment_are_sent(ended: dict[str, Ended]) -> None:
    """To MLflow's own API and to Unity Catalog's."""
    assert ended
    paths = {path.partition("?")[0] for path, sent in StandIn.asked if sent == f"Bearer {TOKEN}"}
    assert "/api/2.0/mlflow/registered-models/alias" in paths
    assert "/api/2.0/mlflow/unity-catalog/registered-models/alias" in paths
    assert all(sent == f"Bearer {TOKEN}" for _, sent in StandIn.asked)
