"""The online API for tests: in this process, and as a real one."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import msgspec
from starlette.types import ASGIApp, Message

from adapters.telemetry import LaneMetrics, MetricFamilies, ServerMetrics
from adapters.tracing import NO_TRACING
from online_api.access.gate import Access
from online_api.app import Policy, create_app
from online_api.context import Limits, Load, Readiness, Sources
from online_api.front_door import Watch
from online_api.problems import MEDIA_TYPE
from online_api.request_lines import RequestLines
from online_api.scorer import open_scorer
from online_api.served import Models, ServedModel
from scoring.inference_log import LogBatch
from scoring.model import Backend, ModelBundle
from tests.support.toy import NOW

ROOT = Path(__file__).parents[2]
JSON = {"content-type": "application/json"}

GOOD: dict[str, Any] = {"x": 1.5, "n": 3, "flag": True, "name": "senior"}
"""A record the toy model takes."""

SECRET = "hunter2-5551234"
"""A value that must not come back."""


class MemoryLog:
    """An `InferenceLog` that keeps its batches."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.batches: list[LogBatch] = []
        self._failure = failure

    def append(self, entries: LogBatch) -> None:
        """Raises what it was made with."""
        if self._failure is not None:
            raise self._failure
        self.batches.append(entries)


@dataclass
class Api:
    """An app in this process, with what it writes to."""

    client: httpx.AsyncClient
    log: MemoryLog
    metrics: LaneMetrics
    readiness: Readiness
    app: ASGIApp
    lines: list[bytes]
    """What was written to stderr."""

    def counted(self, name: str, **labels: str) -> float:
        """A sample of the metrics; 0 when there is none yet."""
        found = self.metrics.registry.get_sample_value(
            name, {"lane": "online", "model": "toy", "version": "7", **labels}
        )
        return found or 0.0


@asynccontextmanager
async def open_api(
    model: ModelBundle,
    limits: Limits | None = None,
    log: MemoryLog | None = None,
    started: bool = True,
    challengers: Sequence[ModelBundle] = (),
    access: Access | None = None,
    **policy: Any,
) -> AsyncIterator[Api]:
    """The app on an in-process transport; ids are id-1, id-2, …; every clock stands still.

    The model is the default; with `shadow=True` its challengers see what it answered.
    """
    numbers = count(1)
    sources = Sources(lambda: NOW, lambda: f"id-{next(numbers)}", lambda: 0.0)
    log, readiness, limits, load = log or MemoryLog(), Readiness(), limits or Limits(), Load()
    families = MetricFamilies()

    def served(model: ModelBundle) -> ServedModel:
        version = model.version
        metrics = LaneMetrics("online", version.name, version.version, families)
        return ServedModel(model, open_scorer(model, limits, metrics, load), log, metrics, _nothing)

    all_served = [served(one) for one in (model, *challengers)]
    models = Models(all_served, all_served[0])
    lines: list[bytes] = []
    features = {one.version.digest: one.schema.names for one in (model, *challengers)}
    request_lines = RequestLines(model.version.name, "sizes", lines.append, features)
    watch = Watch(request_lines, ServerMetrics(families), NO_TRACING)
    access = access or Access(None, None, sources.timer)
    rules = Policy(access, **{"metrics": "admin", "model": "score", **policy})
    app = create_app(models, rules, watch, limits, load, readiness, sources)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        api = Api(client, log, all_served[0].metrics, readiness, app, lines)
        if not started:
            yield api
            return
        async with _lifespan(app):
            yield api


def _nothing() -> None: ...


@asynccontextmanager
async def _lifespan(app: ASGIApp) -> AsyncIterator[None]:
    """ASGI's lifespan around the body, as a server does it."""
    told: asyncio.Queue[Message] = asyncio.Queue()
    heard: asyncio.Queue[Message] = asyncio.Queue()

    async def live() -> None:
        await app({"type": "lifespan", "state": {}}, told.get, heard.put)

    task = asyncio.create_task(live())
    await told.put({"type": "lifespan.startup"})
    assert (await heard.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await told.put({"type": "lifespan.shutdown"})
        await task


def with_backend(model: ModelBundle, backend: Backend, compiled: bool = True) -> ModelBundle:
    """The model with another backend behind it, compiled or not."""
    kind = model.manifest.backend if compiled else _pyfunc(model)
    manifest = msgspec.structs.replace(model.manifest, backend=kind)
    return replace(model, manifest=manifest, backend=backend)


def _pyfunc(model: ModelBundle) -> Any:
    return msgspec.structs.replace(model.manifest.backend, kind="pyfunc", path="model")


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of an answer that must be one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    document: dict[str, Any] = answer.json()
    assert document["type"] == f"urn:trilane:problem:{code}"
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    assert document["request_id"] == answer.headers["x-request-id"]
    return document


@dataclass
class Server:
    """A running `python -m online_api`."""

    process: subprocess.Popen[str]
    url: str
    lines: list[dict[str, Any]] = field(default_factory=list)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log lines of an event, so far."""
        return [line for line in self.lines if line.get("event") == name]


def command(bundle: Path, directory: Path, **flags: object) -> list[str]:
    """The command line of a server that keeps its spool and storage in a directory."""
    options: dict[str, object] = {
        "bundle": bundle,
        "port": 0,
        "spool-dir": directory / "spool",
        "storage-url": directory / "storage",
        "drain-seconds": 0,
        **{name.replace("_", "-"): value for name, value in flags.items()},
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    return [sys.executable, "-m", "online_api", *arguments]


def environment() -> dict[str, str]:
    """This process's environment without settings of ours."""
    return {k: v for k, v in os.environ.items() if not k.startswith("TRILANE_")}


@contextmanager
def open_server(bundle: Path, directory: Path, **flags: object) -> Iterator[Server]:
    """A server that is ready; killed at the end when it still runs."""
    with subprocess.Popen(
        command(bundle, directory, **flags),
        cwd=ROOT,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield _ready(process)
        finally:
            process.kill()


def _ready(process: subprocess.Popen[str]) -> Server:
    """Wait for the line that says where it listens, and keep reading lines after it."""
    assert process.stderr is not None
    server = Server(process, "")
    for text in process.stderr:
        server.lines.append(json.loads(text))
        if server.events("ready"):
            server.url = server.events("ready")[0]["url"]
            break
    assert server.url, server.lines
    threading.Thread(target=_follow, args=(process.stderr, server.lines.append)).start()
    return server


def _follow(stream: Any, keep: Callable[[dict[str, Any]], None]) -> None:
    # A server that is killed leaves a line that is cut, or the stream is closed meanwhile.
    with contextlib.suppress(ValueError):
        for text in stream:
            keep(json.loads(text))
