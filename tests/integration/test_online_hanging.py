"""A model whose call never ends: its requests are answered, and the process still ends."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.support.online import GOOD, ROOT, environment, problem
from tests.support.toy import make_bundle


def test_a_call_that_never_ends_keeps_nobody(tmp_path: Path) -> None:
    """After the grace time the request that waits for it is answered as `not-ready`; the process
    says that it leaves the call, and exits with 0.
    """
    bundle = make_bundle(tmp_path / "bundle", reference=0)
    with (
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.hanging_server", str(bundle), "30"],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
        ThreadPoolExecutor(1) as pool,
    ):
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            asked = pool.submit(httpx.post, f"{url}/predict", json=[GOOD], timeout=60)
            assert process.stdout.readline().strip() == "called"
            assert httpx.get(f"{url}/livez").status_code == 200
            process.send_signal(signal.SIGTERM)
            problem(asked.result(), 503, "not-ready")
            _, told = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0
    assert '"event": "requests_cut"' in told
    assert '"event": "call_left"' in told
    assert "Traceback" not in told


def test_an_answer_that_is_late_is_a_problem(tmp_path: Path) -> None:
    """The request gets `deadline-exceeded` and word of when to come again; the server goes on."""
    bundle = make_bundle(tmp_path / "bundle", reference=0)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.hanging_server", str(bundle), "0.5"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            answer = httpx.post(f"{url}/predict", json=[GOOD], timeout=60)
            problem(answer, 503, "deadline-exceeded")
            assert answer.headers["retry-after"] == "1"
            assert httpx.get(f"{url}/livez").status_code == 200
        finally:
            process.kill()
