"""Packaging from a registry that asks who is there: a real MLflow server with users."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scoring.manifest import read_manifest, verify_files
from tests.support import mlflow_server
from tests.support.mlflow_server import Server
from tests.support.package_runs import Ended, environment, package

NAME = "main.hr.attrition"
USER, PASSWORD = "packager", "the-packagers-password"
STRANGER, STRANGERS_PASSWORD = "stranger", "the-strangers-password"
NOBODYS_PASSWORD = "not-anybodys-password"


def credentials(user: str, password: str) -> dict[str, str]:
    """The variables MLflow reads."""
    return {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on which `USER` has registered a model under a name of three parts."""
    with mlflow_server.running(tmp_path_factory.mktemp("mlflow")) as server:
        server.add_user(USER, PASSWORD)
        server.add_user(STRANGER, STRANGERS_PASSWORD)
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.mlflow_server", server.uri, NAME, "champion"],
            env=environment(**credentials(USER, PASSWORD)),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        yield server


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the configurations and the bundles are."""
    return tmp_path_factory.mktemp("packaging")


def write(directory: Path, file: str, server: Server, **entry: Any) -> Path:
    """A models.json for the server."""
    model = {"name": NAME, "role": "champion", "alias": "champion", **entry}
    path = directory / file
    path.write_text(json.dumps({"registry": {"tracking_uri": server.uri}, "models": [model]}))
    return path


def test_a_model_is_packaged_by_its_alias(server: Server, work: Path) -> None:
    """The dots of its name are part of the directory's; version and alias are recorded and told."""
    result = package(
        write(work, "models.json", server), work / "out", variables=credentials(USER, PASSWORD)
    )
    assert result.code == 0, result.err
    manifest = read_manifest(work / "out" / NAME)
    assert (manifest.name, manifest.version, manifest.alias) == (NAME, "1", "champion")
    assert f"{NAME} version 1 (alias champion)" in result.out
    assert manifest.source_digest in result.out
    verify_files(work / "out" / NAME, manifest)
    assert [path.name for path in (work / "out").iterdir()] == [NAME]
    assert_no_secret(result, work / "out")


def test_who_may_not_read_it_is_told_which_variables_to_set(server: Server, work: Path) -> None:
    """With no, wrong and a stranger's credentials; a name and an alias that are not there."""
    right = credentials(USER, PASSWORD)
    runs: dict[str, tuple[dict[str, Any], Mapping[str, str]]] = {
        "none": ({}, {}),
        "wrong": ({}, credentials(USER, NOBODYS_PASSWORD)),
        "stranger": ({}, credentials(STRANGER, STRANGERS_PASSWORD)),
        "alias": ({"alias": "challenger"}, right),
        "name": ({"name": "main.hr.nothing"}, right),
    }

    def run(name: str) -> Ended:
        entry, variables = runs[name]
        models = write(work, f"{name}.json", server, **entry)
        return package(models, work / name, variables=variables)

    with ThreadPoolExecutor(3) as pool:
        ended = dict(zip(runs, pool.map(run, runs), strict=True))
    assert {name: result.code for name, result in ended.items()} == dict.fromkeys(runs, 1)
    for name in ("none", "wrong", "stranger"):
        assert "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in ended[name].err
    assert f"{NAME}: the registry has no alias 'challenger'" in ended["alias"].err
    assert "main.hr.nothing" in ended["name"].err
    for name, result in ended.items():
        assert_no_secret(result, work / name)


def test_a_server_that_is_away_is_exit_code_75_unless_the_bundle_is_pinned(
    server: Server, work: Path
) -> None:
    """Also for an alias: which version it names cannot be asked, but the files are the pinned."""
    digest = read_manifest(work / "out" / NAME).source_digest
    server.stop()
    pins = {"unpinned": None, "pinned": digest}
    variables = credentials(USER, PASSWORD) | {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}

    def run(name: str) -> Ended:
        models = write(work, f"away-{name}.json", server, digest=pins[name])
        return package(models, work / "out", variables=variables)

    ended = {name: run(name) for name in pins}
    codes = {name: result.code for name, result in ended.items()}
    assert codes == {"unpinned": 75, "pinned": 0}, ended
    assert "(try again)" in ended["unpinned"].err
    for result in ended.values():
        assert_no_secret(result, work / "out")


def assert_no_secret(result: Ended, output: Path) -> None:
    """No password in what was said, or in any file that was written."""
    written = [path.read_bytes() for path in output.rglob("*") if path.is_file()]
    for secret in (PASSWORD, STRANGERS_PASSWORD, NOBODYS_PASSWORD, mlflow_server.ADMIN_PASSWORD):
        assert secret not in result.out + result.err
        assert not any(secret.encode() in content for content in written)
