"""The server: listen, serve in one process or in several, drain. The root of its processes."""

import logging
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

from adapters.metric_families import share_metrics
from online_api.processes.listening import open_listener, url_of
from online_api.processes.metrics_directory import metrics_directory
from online_api.settings import OnlineSettings

UPLOAD_SECONDS: Final = 10.0
"""How long what is in the spool may take to reach the storage at the end."""

logger = logging.getLogger(__name__)


def serve(settings: OnlineSettings) -> None:
    """Verify and load the bundles, then listen; return after SIGTERM or SIGINT and a full drain.

    Does not return but ends the process, with 0, when a call of the model outlives the drain.
    Raises BundleError before anything listens, and ConfigurationError.
    """
    began = time.perf_counter()
    signal.signal(signal.SIGTERM, _exit_now)
    _require_storage(settings)
    settings = _picklable(settings)
    with ExitStack() as stack:
        listener = stack.enter_context(open_listener(settings))
        url = url_of(listener)
        files = stack.enter_context(metrics_directory())
        share_metrics(files)

        def upload() -> None:
            from online_api.processes.uploader import UploaderProcess

            stack.callback(UploaderProcess(settings, files).stop, UPLOAD_SECONDS)

        def ready(identity: dict[str, Any]) -> None:
            _log_ready(url, identity, settings.workers, time.perf_counter() - began)

        server = _Server(settings, listener, files, upload, ready)
        server.alone() if settings.workers == 1 else server.with_workers()
    logger.info("stopped", extra={"event": "stopped"})
    if settings.workers == 1:
        from online_api.processes.worker import leave_if_busy

        leave_if_busy(0)


@dataclass(frozen=True, slots=True)
class _Server:
    """`upload` starts the uploader's process, without waiting for it."""

    settings: OnlineSettings
    listener: socket.socket
    metrics_files: Path
    upload: Callable[[], None]
    ready: Callable[[dict[str, Any]], None]

    def alone(self) -> None:
        """Answer in this process."""
        from online_api.assembly import open_app
        from online_api.processes.worker import answer, identity

        with closing(open_app(self.settings, self.metrics_files)) as app:
            self.upload()
            answer(app, self.settings, self.listener, lambda: self.ready(identity(app)))

    def with_workers(self) -> None:
        """Answer in processes of their own."""
        from online_api.processes.workers import Supervisor

        def ready(identity: dict[str, Any]) -> None:
            self.upload()
            self.ready(identity)

        Supervisor(self.settings, self.listener, self.metrics_files, ready).run()


def _log_ready(url: str, identity: dict[str, Any], workers: int, seconds: float) -> None:
    logger.info(
        "ready at %s with %s version %s",
        url,
        identity["model"],
        identity["version"],
        extra={
            "event": "ready",
            "url": url,
            **identity,
            "workers": workers,
            "start_seconds": round(seconds, 3),
        },
    )


def _require_storage(settings: OnlineSettings) -> None:
    """A storage URL of an unknown kind must not wait for the first upload. Asks nobody.

    Raises ConfigurationError.
    """
    from adapters.storage import open_storage

    open_storage(settings.storage_url, settings.connection_string())


def _picklable(settings: OnlineSettings) -> OnlineSettings:
    """Of the class itself: the command's is made on the fly, and spawned processes know it not."""
    values = {name: getattr(settings, name) for name in OnlineSettings.model_fields}
    return OnlineSettings.model_construct(**values)


def _exit_now(_: int, __: FrameType | None) -> None:
    """SIGTERM while the model is being loaded: nothing has to be drained."""
    raise SystemExit(0)
