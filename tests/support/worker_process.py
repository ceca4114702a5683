"""The stream worker as a process."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from local_stack.broker import free_port

ROOT = Path(__file__).parents[2]


class WorkerProcess:
    """`python -m stream_worker` with its log and its probe port."""

    def __init__(self, address: str, bundle: Path, directory: Path, **settings: str) -> None:
        self.storage = directory / "storage"
        self.log = directory / "worker.log"
        self.port = free_port()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TRILANE_")} | {
            "TRILANE_BUNDLE": str(bundle),
            "TRILANE_BOOTSTRAP_SERVERS": address,
            "TRILANE_STORAGE_URL": self.storage.as_uri(),
            "TRILANE_EVENTS_HUB": "events",
            "TRILANE_SCORES_HUB": "scores",
            "TRILANE_DEAD_LETTERS_HUB": "dead",
            "TRILANE_SESSION_TIMEOUT_SECONDS": "2",
            "TRILANE_PROBE_PORT": str(self.port),
            "PYTHONPATH": str(ROOT),
            **settings,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stream_worker"],
                env=environment, cwd=directory, stderr=log, stdout=log,
            )  # fmt: skip

    def probe(self, path: str) -> tuple[int, str]:
        """Status and body of a probe; status 0 while nothing listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
        except OSError:
            return 0, ""

    def samples(self, name: str) -> list[float]:
        """All samples of a metric."""
        lines = self.probe("/metrics")[1].splitlines()
        return [float(s.rpartition(" ")[2]) for s in lines if s.startswith(name + "{")]

    def metric(self, name: str, outcome: str | None = None) -> float:
        """A sample of /metrics, zero where there is none."""
        wanted = f'outcome="{outcome}"' if outcome else ""
        for line in self.probe("/metrics")[1].splitlines():
            if line.startswith(name + "{") and wanted in line:
                return float(line.rpartition(" ")[2])
        return 0.0

    async def wait_until_ready(self) -> None:
        """Wait for the first assignment."""
        await self.wait_until(lambda: self.probe("/readyz")[0] == 200)

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition; fails the test when the process ends first, or after 20 s."""

        def wait() -> None:
            deadline = time.monotonic() + 20
            while not condition():
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.01)

        await asyncio.to_thread(wait)

    async def exit_code(self, by: signal.Signals | None = None) -> int:
        """The exit code, after a signal if any."""
        if by is not None:
            self.process.send_signal(by)
        return await asyncio.to_thread(self.process.wait, 20)

    def entries(self) -> list[dict[str, Any]]:
        """The inference log."""
        root = self.storage / "inference-log"
        rows: list[dict[str, Any]] = ds.dataset(root, partitioning="hive").to_table().to_pylist()
        return rows
