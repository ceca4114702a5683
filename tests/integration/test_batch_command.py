"""The batch scorer as the command people call."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from adapters.storage import open_storage
from tests.support import toy
from tests.support.batch_files import as_jsonl, with_ids


def manifest(root: str) -> dict[str, Any]:
    """The run manifest."""
    decoded = json.loads(open_storage(f"{root}/out").read("run=r/manifest.json"))
    assert isinstance(decoded, dict)
    return decoded


def command(bundle: Path, root: Path, *flags: str) -> list[str]:
    """The command line of a run below `root`."""
    return [
        sys.executable, "-m", "batch_scorer", f"--bundle={bundle}", f"--input={root}/in",
        f"--output={root}/out", f"--storage-url={root}/store", "--run-id=r", *flags,
    ]  # fmt: skip


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TRILANE_")}
    return subprocess.run(
        arguments, capture_output=True, text=True, env=environment, timeout=60, check=False
    )


def start_and_wait_for_parts(bundle: Path, root: Path, *flags: str) -> subprocess.Popen[str]:
    """A run in its middle: it has written some parts and has many more to write."""
    process = subprocess.Popen(
        command(bundle, root, *flags), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    deadline = time.monotonic() + 30
    while len(list(root.glob("out/run=r/scores/*.parquet"))) < 5:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def test_a_killed_run_is_begun_anew_with_other_settings(bundle: Path, tmp_path: Path) -> None:
    """SIGKILL in the middle leaves no manifest; with other settings only --restart goes on, and
    the run is then what it would have been, byte for byte.
    """
    data = as_jsonl(with_ids(toy.records(20_000))) + b"{\n"
    for name in ("killed", "whole"):
        open_storage(str(tmp_path / name)).write("in/a.jsonl", data)
    flags = ["--chunk-records=50", "--as-of=2026-01-05T08:30:00Z"]
    process = start_and_wait_for_parts(bundle, tmp_path / "killed", *flags)
    process.kill()
    process.communicate()
    assert not (tmp_path / "killed/out/run=r/manifest.json").exists()
    flags[0] = "--chunk-records=2000"
    refused = call(*command(bundle, tmp_path / "killed", *flags))
    assert refused.returncode == 1
    assert "begun with another chunk_records" in refused.stderr
    assert call(*command(bundle, tmp_path / "killed", *flags, "--restart")).returncode == 0
    assert call(*command(bundle, tmp_path / "whole", *flags)).returncode == 0
    killed, whole = (
        {
            path.relative_to(tmp_path / name).as_posix(): path.read_bytes()
            for path in (tmp_path / name).glob("out/run=r/*/*.parquet")
        }
        for name in ("killed", "whole")
    )
    assert killed == whole
    assert manifest(str(tmp_path / "killed"))["totals"] == {
        "received": 20_001, "scored": 20_000, "rejected": 1
    }  # fmt: skip


def test_sigterm_ends_a_run_to_be_tried_again(bundle: Path, tmp_path: Path) -> None:
    """A pod that is moved leaves with the exit code for another try and no manifest."""
    open_storage(str(tmp_path)).write("in/a.jsonl", as_jsonl(with_ids(toy.records(20_000))))
    process = start_and_wait_for_parts(bundle, tmp_path, "--chunk-records=50")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 75
    assert "stopped; --run-id r completes the run" in errors
    assert not (tmp_path / "out/run=r/manifest.json").exists()


def test_a_flipped_byte_in_the_bundle(bundle: Path, tmp_path: Path) -> None:
    """The run does not start: exit code 1, the file is named, nothing is written."""
    copy = toy.make_bundle(tmp_path / "bundle", reference=0)
    raw = bytearray((copy / "model.onnx").read_bytes())
    raw[len(raw) // 2] ^= 1
    (copy / "model.onnx").write_bytes(raw)
    open_storage(str(tmp_path)).write("in/a.jsonl", as_jsonl(with_ids(toy.records(1))))
    done = call(*command(copy, tmp_path))
    assert done.returncode == 1
    assert f"{copy / 'model.onnx'} does not match its digest" in done.stderr
    assert not (tmp_path / "out").exists()


def test_no_value_is_printed(bundle: Path, tmp_path: Path) -> None:
    """Counts and codes go to stdout, JSON lines to stderr, and cells to neither."""
    text = b'record_id,x,n,flag,name\nSECRET,1,1,true,lead\nSECRET,SECRET,1,true,SECRET\n"SECRET\n'
    open_storage(str(tmp_path)).write("in/a.csv", text)
    done = call(*command(bundle, tmp_path, "--max-rejected-share=1"))
    assert done.returncode == 0, done.stderr
    assert "SECRET" not in done.stdout + done.stderr
    assert "3 received, 1 scored, 2 rejected" in done.stdout
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["file"], line["received"]) for line in lines if "received" in line] == [
        ("a.csv", 3)
    ]


def test_a_terminal_gets_a_bar(bundle: Path, tmp_path: Path) -> None:
    """Where stderr is a terminal, a bar counts records in place of log lines."""
    open_storage(str(tmp_path)).write("in/a.jsonl", as_jsonl(with_ids(toy.records(1234))))
    screen, terminal = os.openpty()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TRILANE_")}
    process = subprocess.Popen(
        command(bundle, tmp_path), stderr=terminal, stdout=subprocess.DEVNULL,
        env=environment | {"TERM": "xterm", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal's output on Linux
        while piece := os.read(screen, 65536):
            shown += piece
    os.close(screen)
    assert process.wait(timeout=30) == 0
    assert b"1,234 records" in shown
    assert b"1 of 1 files" in shown
    assert b'"level"' not in shown


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--output=x", "--bundle=b"], "--input"),
        (["--input=x", "--output=x", "--bundle=b", "--run-id=a/b"], "--run-id"),
        (["--input=x", "--output=x", "--bundle=b", "--as-of=2026-01-05T08:30:00"], "--as-of"),
        (["--input=x", "--output=x", "--bundle=b", "--chunk-records=0"], "--chunk-records"),
        (["--input=x", "--output=x", "--bundle=b", "--unknown=0"], "--unknown"),
    ],
)
def test_wrong_usage(flags: list[str], named: str) -> None:
    """Exit code 2 and the name of the setting."""
    done = call(sys.executable, "-m", "batch_scorer", *flags)
    assert done.returncode == 2
    assert named in done.stderr


def test_missing_input_and_unreachable_storage(bundle: Path, tmp_path: Path) -> None:
    """Exit code 1 where a person must act, 75 where another try may do."""
    missing = call(*command(bundle, tmp_path))
    assert (missing.returncode, "in does not exist" in missing.stderr) == (1, True)
    open_storage(str(tmp_path)).write("in/a.jsonl", as_jsonl(with_ids(toy.records(1))))
    (tmp_path / "out").write_bytes(b"a file where a directory should be")
    blocked = call(*command(bundle, tmp_path))
    assert blocked.returncode == 75
