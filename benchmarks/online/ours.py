"""The online API as it is deployed: inference log on, an API key required, default settings."""

import hashlib
import json
import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.online.servers import BenchError, Server, ask
from local_stack.broker import free_port

EMPTY_BYTES: Final = 65_536
"""A spool with less holds no more than headers of open segments."""

_ENTRIES: Final = "trilane_inference_log_entries_total"


@dataclass(frozen=True, slots=True)
class Deployment:
    """What outlives one process of the server: its bundle, its directories, its key.

    A server that is started again on the same deployment finds what the last one left.
    """

    bundle: Path
    directory: Path
    flags: Mapping[str, object] = field(default_factory=dict)
    key: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def spool(self) -> Path:
        """Where entries wait for the storage."""
        return self.directory / "spool"

    @property
    def storage(self) -> Path:
        """The root of the inference log."""
        return self.directory / "storage"

    @property
    def headers(self) -> dict[str, str]:
        """Of a request that may score and administrate."""
        return {"Content-Type": "application/json", "X-API-Key": self.key}

    def start(self, port: int | None = None) -> Server:
        """A server of it, on a free port unless one is given."""
        port = port or free_port()
        flags: dict[str, object] = {
            "bundle": self.bundle,
            "port": port,
            "spool-dir": self.spool,
            "storage-url": self.storage,
            "api-keys-file": self._keys_file(),
            **self.flags,
        }
        arguments = [text for name, value in flags.items() for text in (f"--{name}", str(value))]
        command = [sys.executable, "-m", "online_api", *arguments]
        return Server(command, port, "/readyz", self.directory / "server.log")

    def wait_until_uploaded(self, seconds: float) -> bool:
        """Wait until the spool is empty; False when it is not in time."""
        deadline = time.monotonic() + seconds
        while self.spooled_bytes() >= EMPTY_BYTES:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def spooled_bytes(self) -> int:
        """What the spool takes on disk."""
        total = 0
        for path in self.spool.rglob("*"):
            try:
                total += path.stat().st_size if path.is_file() else 0
            except FileNotFoundError:
                continue
        return total

    def counters(self, port: int) -> dict[str, int]:
        """Inference log entries by outcome, as `/metrics` of a running server says.

        Raises BenchError when it does not answer with 200.
        """
        status, body = ask(port, "/metrics", self.headers)
        if status != 200:
            raise BenchError(f"/metrics answers {status}")
        return entries_by_outcome(body.decode())

    def _keys_file(self) -> Path:
        digest = hashlib.sha256(self.key.encode()).hexdigest()
        keys = {"keys": [{"name": "bench", "sha256": digest, "roles": ["score", "admin"]}]}
        path = self.directory / "keys.json"
        self.directory.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(keys), encoding="utf-8")
        return path


def entries_by_outcome(metrics: str) -> dict[str, int]:
    """The inference log's counters out of the Prometheus text format."""
    found: dict[str, int] = {}
    for line in metrics.splitlines():
        if line.startswith(f"{_ENTRIES}{{"):
            labels, _, value = line.rpartition(" ")
            outcome = labels.partition('outcome="')[2].partition('"')[0]
            found[outcome] = found.get(outcome, 0) + int(float(value))
    return found


def require_bundle(bundle: Path) -> None:
    """Raises BenchError when there is none."""
    if not (bundle / "manifest.json").exists():
        raise BenchError(f"{bundle} is no bundle; `make demo` makes one")
