"""`trilane package` as a process of its own; and many runs of it in one process, for its imports
take longer than the runs.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run of the command ended."""

    code: int
    out: str
    err: str


def arguments(models: Path, output: Path, *more: str) -> list[str]:
    """The command's arguments."""
    return ["--models", str(models), "--output", str(output), *more]


def environment(**more: str) -> dict[str, str]:
    """This process's, without what would configure trilane, MLflow or Databricks."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TRILANE_", "MLFLOW_", "DATABRICKS_"))
    }
    return kept | {"PYTHONPATH": str(Path.cwd())} | more


def package(
    models: Path,
    output: Path,
    *more: str,
    limit: Callable[[], None] | None = None,
    variables: Mapping[str, str] | None = None,
) -> Ended:
    """Run the command beside `models`; `limit` is called in the child before it starts."""
    done = subprocess.run(
        [sys.executable, "-m", "bundling", *arguments(models, output, *more)],
        cwd=models.parent,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
        env=environment(**(variables or {})),
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def package_many(
    directory: Path, runs: Mapping[str, list[str]], variables: Mapping[str, str] | None = None
) -> dict[str, Ended]:
    """The command once for each of the named lists of arguments, one after the other."""
    (directory / "runs.json").write_text(json.dumps(dict(runs)))
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.package_runs", "runs.json"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        env=environment(**(variables or {})),
    )
    assert done.returncode == 0, done.stderr
    ended: dict[str, Any] = json.loads(done.stdout)
    return {name: Ended(**found) for name, found in ended.items()}


def _main(runs: Path) -> None:
    from bundling.__main__ import main

    ended: dict[str, Ended] = {}
    for name, argv in json.loads(runs.read_text()).items():
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(argv)
        ended[name] = Ended(code, out.getvalue(), err.getvalue())
    print(json.dumps({name: asdict(found) for name, found in ended.items()}))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
