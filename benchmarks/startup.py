"""From process start to the first ready answer of the online API, beside its bare imports.

    python -m benchmarks.startup [--bundle DIRECTORY] [--runs 5]

- floor: `python -c "import fastapi, uvicorn, onnxruntime, numpy"` from start to end.
- online: `python -m online_api` from start until `/readyz` answers 200: imports, every digest of
  the bundle verified, graphs loaded, example scored, listening. Asked every five milliseconds.

Both medians of alternating runs, and the largest resident memory of the API once it is ready.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.measure import versions
from local_stack.broker import free_port

BUNDLES: Final = ("var/demo/bundles/employee_attrition", "var/bundles/employee_attrition")
IMPORTS: Final = "import fastapi, uvicorn, onnxruntime, numpy"
DEADLINE_SECONDS: Final = 60.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns 0, or 1 when there is no bundle."""
    parser = argparse.ArgumentParser(prog="benchmarks.startup", description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=_default_bundle(), help="Bundle directory.")
    parser.add_argument("--runs", type=int, default=5, help="Runs of each.")
    options = parser.parse_args(argv)
    if not (options.bundle / "manifest.json").exists():
        print(f"{options.bundle} is no bundle; `make demo` makes one")
        return 1
    print(versions(("fastapi", "uvicorn", "onnxruntime", "numpy")))
    floors: list[float] = []
    starts: list[float] = []
    memory: list[int] = []
    for _ in range(options.runs):
        floors.append(_floor())
        seconds, resident = _online(options.bundle)
        starts.append(seconds)
        memory.append(resident)
    floor, online = statistics.median(floors), statistics.median(starts)
    print(f"floor   {floor:.3f} s")
    print(f"online  {online:.3f} s, {online / floor:.2f} x the floor")
    print(f"resident memory when ready  {max(memory) / 1e6:.0f} MB")
    return 0


def _default_bundle() -> Path:
    return next((Path(b) for b in BUNDLES if Path(b).exists()), Path(BUNDLES[-1]))


def _floor() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    return time.perf_counter() - started


def _online(bundle: Path) -> tuple[float, int]:
    """Seconds until ready, and resident bytes then."""
    with TemporaryDirectory() as scratch:
        port = free_port()
        settings = {
            "TRILANE_BUNDLE": str(bundle),
            "TRILANE_PORT": str(port),
            "TRILANE_STORAGE_URL": f"{scratch}/storage",
            "TRILANE_SPOOL_DIR": f"{scratch}/spool",
            "TRILANE_LOG_LEVEL": "ERROR",
        }
        started = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-m", "online_api"],
            env=os.environ | settings,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        ) as process:
            try:
                _wait_until_ready(port, started)
                seconds = time.perf_counter() - started
                return seconds, _resident(process.pid)
            finally:
                process.send_signal(signal.SIGTERM)


def _wait_until_ready(port: int, started: float) -> None:
    url = f"http://127.0.0.1:{port}/readyz"
    while time.perf_counter() - started < DEADLINE_SECONDS:
        try:
            with urllib.request.urlopen(url, timeout=1.0):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.005)
    raise SystemExit(f"the online API was not ready within {DEADLINE_SECONDS:.0f} s")


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    raise SystemExit(main())
