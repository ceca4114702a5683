"""A server whose model never answers: `python -m tests.support.hanging_server BUNDLE DEADLINE`.

Everything but the backend and the log is the server's own.
"""

import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from adapters.logs import setup_logging
from adapters.telemetry import LaneMetrics, MetricFamilies, ServerMetrics
from adapters.tracing import NO_TRACING
from online_api.access.gate import open_access
from online_api.app import Policy, create_app
from online_api.assembly import App
from online_api.context import Load, Readiness, Sources
from online_api.front_door import Watch
from online_api.processes.listening import open_listener, url_of
from online_api.processes.worker import answer, leave_if_busy
from online_api.request_lines import RequestLines
from online_api.scorer import open_scorer
from online_api.served import Models, ServedModel
from online_api.settings import OnlineSettings
from scoring.model_loader import load_model
from scoring.records import Column, RecordBatch
from tests.support.online import MemoryLog, with_backend


class HangingBackend:
    """Is called and does not return."""

    def compute(self, batch: RecordBatch) -> Mapping[str, Column]:  # noqa: ARG002
        """Says so first."""
        print("called", flush=True)
        _wait_for_ever()


def _wait_for_ever() -> NoReturn:
    while True:
        threading.Event().wait()


def _nothing() -> None: ...


def open_hanging(settings: OnlineSettings) -> App:
    """An app that is real up to the model's call."""
    readiness, load, sources, families = Readiness(), Load(), Sources(), MetricFamilies()
    loaded = load_model(settings.bundle, datetime.now(UTC))
    model = with_backend(loaded, HangingBackend(), compiled=False)
    metrics = LaneMetrics("online", model.version.name, model.version.version, families)
    scorer = open_scorer(model, settings.limits(), metrics, load)
    served = ServedModel(model, scorer, MemoryLog(), metrics, _nothing)
    models = Models([served], served)
    access, server_metrics = open_access(settings, sources), ServerMetrics(families)
    lines = RequestLines("toy", "off", lambda _: None, {})
    asgi = create_app(
        models,
        Policy(access, None, None),
        Watch(lines, server_metrics, NO_TRACING),
        settings.limits(),
        load,
        readiness,
        sources,
    )
    return App(asgi, models, access, readiness, load, server_metrics, _nothing)


def main(bundle: Path, deadline_seconds: float) -> None:
    """Serve until told to stop; prints the URL, then `called` with every call of the model."""
    setup_logging("INFO")
    settings = OnlineSettings(
        bundle=bundle,
        port=0,
        drain_seconds=0,
        grace_seconds=0.5,
        deadline_seconds=deadline_seconds,
    )
    with open_listener(settings) as listener:
        url = url_of(listener)
        app = open_hanging(settings)
        answer(app, settings, listener, lambda: print(url, flush=True))
    leave_if_busy(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
