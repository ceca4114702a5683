"""Batch runs as processes, and what they leave: the same bytes, however often they were killed."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMES = ("started_at", "finished_at", "seconds")
RUN_SECONDS = 300


@dataclass(frozen=True)
class BatchRun:
    """One run below a directory of its own; `flags` are those that tests add."""

    bundle: Path
    source: Path
    root: Path
    flags: Sequence[str] = ()
    module: str = "batch_scorer"
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        """What the run writes."""
        return self.root / "out" / "run=r"

    def start(self, *flags: str) -> "subprocess.Popen[str]":
        """The command, begun; what it says goes to files of the root."""
        self.root.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable, "-m", self.module, f"--bundle={self.bundle}", f"--input={self.source}",
            f"--output={self.root}/out", f"--storage-url={self.root}/store", "--run-id=r",
            *self.flags, *flags,
        ]  # fmt: skip
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("TRILANE_", "JOB_"))}
        with (self.root / "stderr").open("a") as errors, (self.root / "stdout").open("a") as said:
            return subprocess.Popen(
                command,
                stdout=said,
                stderr=errors,
                text=True,
                env={**clean, **self.environment},
            )

    def complete(self, *flags: str) -> int:
        """The command, to its end; its exit code."""
        return self.start(*flags).wait(RUN_SECONDS)

    def said(self) -> str:
        """All its stderr so far."""
        return (self.root / "stderr").read_text()

    def manifest(self) -> dict[str, Any]:
        """The run manifest."""
        decoded: dict[str, Any] = json.loads((self.directory / "manifest.json").read_bytes())
        return decoded

    def parts(self) -> dict[str, str]:
        """Digest by path of everything in the directories that readers of the run read."""
        kinds = (self.directory / kind for kind in ("scores", "rejected"))
        files = [p for kind in kinds for p in kind.rglob("*") if p.is_file()]
        return {
            str(path.relative_to(self.directory)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        }


def killed_and_resumed(run: BatchRun, kills: int, most_parts: int, seed: int) -> None:
    """SIGKILL a run again and again, each time after it has written up to `most_parts` more parts,
    and let the last attempt end. It must have more parts than that in all.
    """
    randomly, parts = random.Random(seed), 0
    for _ in range(kills):
        process = run.start()
        parts += randomly.randint(0, most_parts)
        wait_for(lambda: len(list(run.directory.glob("*/part-*"))) >= parts)  # noqa: B023
        time.sleep(randomly.uniform(0.0, 0.01))
        assert process.poll() is None, run.said()[-3000:]
        process.send_signal(signal.SIGKILL)
        process.wait()
        parts = len(list(run.directory.glob("*/part-*")))
    assert run.complete() == 0, run.said()[-3000:]


def without_times(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest without what differs between two runs that did the same."""
    plain = {name: value for name, value in manifest.items() if name not in TIMES}
    plain["inputs"] = [{k: v for k, v in i.items() if k not in TIMES} for i in plain["inputs"]]
    return plain


def adds_up(manifest: Mapping[str, Any], received: int) -> None:
    """Scored plus rejected is received, in every file and in all."""
    totals = manifest["totals"]
    assert totals["received"] == received
    for counts in (totals, *manifest["inputs"]):
        assert counts["scored"] + counts["rejected"] == counts["received"]
    for name in ("received", "scored", "rejected"):
        assert sum(i[name] for i in manifest["inputs"]) == totals[name]
    assert sum(manifest["rejections"].values()) == totals["rejected"]


def wait_for(condition: Any, seconds: float = 30) -> None:
    """Wait for what must happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
