"""What the online API does not import: cold start and memory are part of the product."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from online_api.settings import OnlineSettings

ROOT = Path(__file__).parents[2]
NEVER = {"mlflow", "sklearn", "pandas", "evidently", "scipy", "pyarrow"}


def imported(statements: str) -> set[str]:
    """Top-level packages that a fresh interpreter holds after the statements."""
    script = (
        "import json, sys\n"
        f"try:\n    {statements}\n"
        "except SystemExit:\n    pass\n"
        "print('\\n' + json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", ["online_api", "online_api.app", "online_api.processes.server"])
def test_importing_loads_no_heavy_package(module: str) -> None:
    """The app, and the server with its spool and storage door, stay light."""
    assert not imported(f"import {module}") & NEVER


def test_help_loads_no_framework() -> None:
    """`--help` loads neither the heavy packages nor what only a server needs."""
    found = imported("from online_api.__main__ import main; main(['--help'])")
    assert not found & (NEVER | {"fastapi", "starlette", "uvicorn", "onnxruntime", "fsspec"})


def test_loading_and_serving_a_compiled_model_stays_light(tmp_path: Path) -> None:
    """From the bundle to a running app: no MLflow, no pandas, and pyarrow not before an upload."""
    from tests.support.toy import make_bundle

    make_bundle(tmp_path / "bundle", reference=0)
    statements = "; ".join(
        [
            "from pathlib import Path",
            "from online_api.assembly import open_app",
            "from online_api.settings import OnlineSettings",
            f"told = dict(bundle=Path({str(tmp_path / 'bundle')!r}))",
            f"told['spool_dir'] = Path({str(tmp_path / 'spool')!r})",
            "open_app(OnlineSettings.model_construct(**told), None).close()",
        ]
    )
    assert not imported(statements) & NEVER


def test_help_names_every_setting() -> None:
    """A setting that `--help` does not show does not exist."""
    done = subprocess.run(
        [sys.executable, "-m", "online_api", "--help"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in OnlineSettings.model_fields:
        assert f"--{name.replace('_', '-')}" in done.stdout
