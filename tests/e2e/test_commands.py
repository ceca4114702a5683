"""Every command: help that is fast, usage errors, and refusal of an altered bundle."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import trilane
from tests.support.toy import make_bundle

HEAVY = ("mlflow", "sklearn", "pandas", "evidently", "fastapi", "faststream", "onnxruntime")
_HELP = """
import sys, trilane
try:
    code = trilane.main([sys.argv[1], "--help"])
except SystemExit as end:
    code = end.code or 0
heavy = [name for name in sys.argv[2].split(",") if name in sys.modules]
assert not heavy, heavy
raise SystemExit(code)
"""
LANES = {
    "online_api": {"PORT": "0"},
    "stream_worker": {"BOOTSTRAP_SERVERS": "127.0.0.1:9", "PROBE_PORT": "0"},
    "batch_scorer": {"INPUT": "records.csv", "OUTPUT": "out", "RECORD_ID_COLUMN": "id"},
    "monitoring": {"ONCE": "true"},
}


def run(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """A Python process with TRILANE_ settings."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TRILANE_")}
    environment |= {f"TRILANE_{name}": value for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=60,
    )


@pytest.mark.parametrize("command", sorted(trilane.COMMANDS))
def test_help_imports_nothing_heavy(command: str) -> None:
    """`trilane COMMAND --help` exits 0 and stays light."""
    result = run("-c", _HELP, command, ",".join(HEAVY))
    assert result.returncode == 0, result.stderr
    assert f"usage: trilane {command}" in result.stdout


@pytest.mark.parametrize("module", [*LANES, "online_api.app", "stream_worker.app"])
def test_importing_a_lane_imports_no_model_library(module: str) -> None:
    """MLflow, scikit-learn, pandas and Evidently stay out of processes that answer."""
    script = f"import sys, {module}; print([n for n in {HEAVY[:4]} if n in sys.modules])"
    result = run("-c", script)
    assert result.stdout == "[]\n", result.stderr


@pytest.mark.parametrize("command", sorted(trilane.COMMANDS))
def test_an_unknown_flag_is_a_usage_error(command: str) -> None:
    """Exit code 2, and the command names itself."""
    result = run("-m", "trilane", command, "--no-such-flag")
    assert result.returncode == 2
    assert f"trilane {command}" in result.stderr


def test_an_unknown_command_is_a_usage_error() -> None:
    """With the list of commands."""
    result = run("-m", "trilane", "predict")
    assert result.returncode == 2
    assert "package" in result.stderr


@pytest.mark.parametrize("module", sorted(LANES))
@pytest.mark.parametrize("name", ["model.onnx", "manifest.json"])
def test_every_lane_refuses_a_bundle_with_one_flipped_byte(
    module: str, name: str, tmp_path: Path
) -> None:
    """Exit code 1, and the error names the file."""
    bundle = make_bundle(tmp_path / "bundle")
    path = bundle / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x01
    path.write_bytes(content)
    (tmp_path / "records.csv").write_text("id\n1\n")
    settings = LANES[module] | {"BUNDLE": str(bundle), "STORAGE_URL": str(tmp_path / "storage")}
    if module == "batch_scorer":
        settings |= {"INPUT": str(tmp_path / "records.csv"), "OUTPUT": str(tmp_path / "out")}
    result = run("-m", module, **settings)
    assert result.returncode == 1, result.stderr
    assert str(path) in result.stderr


def test_every_command_is_documented() -> None:
    """The README or a page of the docs shows how each is called."""
    texts = [Path("README.md"), *sorted(Path("docs").glob("*.md"))]
    documented = "\n".join(text.read_text(encoding="utf-8") for text in texts)
    missing = [name for name in trilane.COMMANDS if f"trilane {name}" not in documented]
    assert missing == []
