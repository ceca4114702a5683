"""The process around the app: load, listen, serve, drain."""

import ipaddress
import logging
import signal
import socket
import time
from datetime import UTC, datetime
from types import FrameType
from typing import Final

import uvicorn

from adapters.spool import SpooledInferenceLog, parquet_sink
from adapters.storage import open_storage
from adapters.telemetry import LaneMetrics
from online_api.app import create_app
from online_api.context import Limits, Readiness
from online_api.settings import OnlineSettings
from scoring.errors import ConfigurationError
from scoring.model import ModelBundle
from scoring.model_document import model_identity
from scoring.model_loader import load_model

SPOOL_MAX_BYTES: Final = 1024**3
"""What the spool may take on disk while the storage does not answer."""

GRACE_SECONDS: Final = 15
"""How long requests in flight may take to end after the process was told to stop."""

_BACKLOG: Final = 2048

logger = logging.getLogger(__name__)


def serve(settings: OnlineSettings) -> None:
    """Verify and load the bundle, then listen; return after SIGTERM or SIGINT and a full drain.

    Raises BundleError before anything listens, and ConfigurationError.
    """
    signal.signal(signal.SIGTERM, _exit_now)
    began = time.perf_counter()
    storage = open_storage(settings.storage_url, settings.connection_string())
    model = load_model(settings.bundle, datetime.now(UTC))
    metrics = LaneMetrics("online", model.version.name, model.version.version)
    listener = _listen(settings.host, settings.port)
    log = SpooledInferenceLog(
        settings.spool_dir,
        parquet_sink(storage),
        model,
        metrics,
        settings.upload_interval_seconds,
        SPOOL_MAX_BYTES,
        _utc_now,
    )
    try:
        readiness = Readiness()
        limits = Limits(
            settings.max_body_bytes,
            settings.max_records,
            settings.micro_batch_records,
            settings.max_wait_seconds,
        )
        app = create_app(model, log, metrics, limits, readiness)
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        _Server(config, readiness, model, began).run(sockets=[listener])
    finally:
        log.close()
    logger.info("stopped", extra={"event": "stopped"})


class _Server(uvicorn.Server):
    """Uvicorn, which says when it is ready, and is not ready any more from the signal on."""

    def __init__(
        self, config: uvicorn.Config, readiness: Readiness, model: ModelBundle, began: float
    ) -> None:
        super().__init__(config)
        self._readiness = readiness
        self._model = model
        self._began = began
        # Uvicorn puts its own handlers over these while it runs, and afterwards raises the signal
        # once more: with the default handlers that would be the process's end, and its exit code.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.handle_exit)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer, and say so in one line."""
        await super().startup(sockets)
        version = self._model.version
        for listener in sockets or []:
            url = _url(listener)
            logger.info(
                "ready at %s with %s version %s",
                url,
                version.name,
                version.version,
                extra={
                    "event": "ready",
                    "url": url,
                    **model_identity(self._model),
                    "start_seconds": round(time.perf_counter() - self._began, 3),
                },
            )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Not ready from here on; requests that still arrive are answered."""
        self._readiness.drain()
        super().handle_exit(sig, frame)


def _listen(host: str, port: int) -> socket.socket:
    """A socket that queues connections. Raises ConfigurationError."""
    if not is_loopback(host):
        logger.warning(
            "listening on %s without authentication: whoever reaches the port can score",
            host,
            extra={"event": "no_authentication"},
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror}") from error


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _exit_now(_: int, __: FrameType | None) -> None:
    """SIGTERM while the model is being loaded: nothing has to be drained."""
    raise SystemExit(0)


def _utc_now() -> datetime:
    return datetime.now(UTC)
