"""databricks.yml: the nightly job is `trilane batch` on Spark, with settings that exist."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.settings import read_settings
from batch_scorer.settings import BatchSettings
from tests.support import toy
from tests.support.batch_pieces import rows, write_jsonl

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "databricks.yml").read_text()
BUNDLE: dict[str, Any] = yaml.safe_load(TEXT)
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
VALUES = {"job.start_time.iso_date": "2026-11-24", "bundle.target": "staging"}
"""What Databricks puts in place of references that are none of the bundle's variables."""


def job() -> dict[str, Any]:
    """The only job."""
    (found,) = BUNDLE["resources"]["jobs"].values()
    return dict(found)


def task() -> dict[str, Any]:
    """Its only task."""
    (found,) = job()["tasks"]
    return dict(found)


def cluster() -> dict[str, Any]:
    """Where the task runs."""
    (found,) = job()["job_clusters"]
    assert found["job_cluster_key"] == task()["job_cluster_key"]
    return dict(found["new_cluster"])


def script() -> Path:
    """What the task runs."""
    return ROOT / str(task()["spark_python_task"]["python_file"])


def references() -> set[str]:
    """Everything that is put in when the bundle is deployed."""
    return set(re.findall(r"\$\{([^}]*)\}", TEXT))


def parameters() -> list[str]:
    """Those of the task, with a value in place of each reference."""

    def value(match: re.Match[str]) -> str:
        return VALUES.get(match[1] or match[2], "value")

    given = task()["spark_python_task"]["parameters"]
    return [re.sub(r"\$\{([^}]*)\}|\{\{([^}]*)\}\}", value, each) for each in given]


def test_variables_are_those_that_are_used() -> None:
    """Each is declared with a description, and none in vain."""
    used = {name.removeprefix("var.") for name in references() if name.startswith("var.")}
    assert used == BUNDLE["variables"].keys()
    assert all(variable["description"] for variable in BUNDLE["variables"].values())
    assert references() - {f"var.{name}" for name in used} <= VALUES.keys()


def test_every_parameter_is_a_setting() -> None:
    """By its flag; none twice."""
    flags = [each.partition("=")[0] for each in task()["spark_python_task"]["parameters"]]
    assert len(set(flags)) == len(flags)
    known = {f"--{name.replace('_', '-')}" for name in BatchSettings.model_fields}
    assert set(flags) <= known


def test_the_parameters_are_what_the_command_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is required is given; the engine is Spark; attempts of a night share a run id."""
    for name in list(os.environ):
        if name.startswith(("TRILANE_", "JOB_")):
            monkeypatch.delenv(name)
    settings = read_settings(BatchSettings, parameters(), "trilane batch", "Score.")
    assert settings.engine == "spark"
    assert settings.run_id == "2026-11-24"
    assert (settings.input, settings.output, settings.storage_url) == ("value",) * 3
    assert (settings.shards, settings.dry_run, settings.restart) == (1, False, False)
    assert task()["max_retries"] >= 1
    assert job()["max_concurrent_runs"] == 1


def test_variables_of_the_cluster_are_settings() -> None:
    """And the secret is a reference, not a value."""
    found = cluster()["spark_env_vars"]
    settings = {f"TRILANE_{name.upper()}" for name in BatchSettings.model_fields}
    assert found.keys() <= settings
    assert found["TRILANE_STORAGE_CONNECTION_STRING"].startswith("{{secrets/")


def test_the_script_is_there_and_imports_what_is_deployed() -> None:
    """The standard library, and packages that are in the wheel."""
    names = set()
    for node in ast.walk(ast.parse(script().read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    ours = names - sys.stdlib_module_names
    packed = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    assert "batch_scorer" in ours
    assert {f"{name}*" for name in ours} <= set(packed)
    assert all((ROOT / name / "__init__.py").is_file() for name in ours)


def test_what_is_installed_is_what_the_storage_needs() -> None:
    """The wheel, and the packages of the extra for Azure in versions that it takes, too."""
    (wheel, *others) = task()["libraries"]
    assert wheel == {"whl": "dist/*.whl"}
    (artifact,) = BUNDLE["artifacts"].values()
    assert (artifact["type"], artifact["path"]) == ("whl", ".")
    extra = PROJECT["project"]["optional-dependencies"]["azure"]
    assert {other["pypi"]["package"] for other in others} == set(extra)


def test_the_schedule_is_nightly_in_utc() -> None:
    """At one o'clock, as that of the CronJob."""
    assert job()["schedule"] == {
        "quartz_cron_expression": "0 0 1 * * ?", "timezone_id": "Etc/UTC"
    }  # fmt: skip


RUN = """
import runpy, sys
script, *sys.argv[1:] = sys.argv[1:]
runpy.run_path(script, run_name="__main__")
print("no SystemExit")
"""


def run(root: Path) -> "subprocess.CompletedProcess[str]":
    """The script as a task runs it, with threads for engine."""
    command = [sys.executable, "-c", RUN, str(script()), f"--bundle={root}/bundle"]
    command += [f"--input={root}/in", f"--output={root}/out", f"--storage-url={root}/store"]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TRILANE_", "JOB_"))}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**clean, "PYTHONPATH": str(ROOT)}
    )


def test_the_script_is_the_command(tmp_path: Path) -> None:
    """It scores, and ends with the exit code of the command; without SystemExit when all is well,
    which Databricks would take for a failure.
    """
    toy.make_bundle(tmp_path / "bundle", reference=0)
    failed = run(tmp_path)
    assert failed.returncode == 1
    assert "does not exist" in failed.stderr
    (tmp_path / "in").mkdir()
    write_jsonl(tmp_path / "in" / "a.jsonl", rows(30))
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "30 received, 26 scored, 4 rejected" in done.stdout
    assert done.stdout.endswith("no SystemExit\n")
