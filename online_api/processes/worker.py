"""One process that answers: uvicorn around the app, and how it stops."""

import gc
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Final

import uvicorn

from online_api.assembly import App
from online_api.processes.connections import MAX_TURNED_AWAY, ConnectionLimits, House
from online_api.processes.draining import DrainingServer
from online_api.processes.http_protocol import protocol_of
from online_api.processes.listening import BACKLOG
from online_api.settings import OnlineSettings
from scoring.model_document import model_identity

_OWN_FILES: Final = 256
_LAST_BREATH_SECONDS: Final = 0.5

logger = logging.getLogger(__name__)


def answer(
    app: App,
    settings: OnlineSettings,
    listener: socket.socket,
    on_ready: Callable[[], None],
    commands: Connection | None = None,
) -> None:
    """Listen and answer until told to stop, then drain. Closes the listener, not the app.

    Told by SIGTERM or SIGINT; and by `commands`, if there is a supervisor: a bool, whether to skip
    the drain time, or its end, which means that the supervisor died. Without one a second signal
    skips the drain time. Raises ConfigurationError.
    """
    limits = ConnectionLimits(
        settings.header_seconds,
        settings.body_seconds,
        settings.idle_seconds,
        settings.max_connections,
        settings.deadline_seconds,
        settings.max_in_flight,
    )
    _allow_files(settings.max_connections + MAX_TURNED_AWAY + _OWN_FILES)
    house = House(limits, app.metrics.shed, app.load, draining=lambda: app.readiness.draining)
    config = uvicorn.Config(
        app.asgi,
        http=protocol_of(house),
        ws="none",
        lifespan="on",
        backlog=BACKLOG,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    server = DrainingServer(
        config, app.readiness, settings, on_ready, commands, app.metrics.in_flight
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.signalled)
    # What was loaded stays for good: no full collection has to look at it again.
    gc.freeze()
    server.run(sockets=[listener])


def identity(app: App) -> dict[str, Any]:
    """What the line of a start says of the model that answers when none is named."""
    return model_identity(app.models.default.model)


def leave_if_busy(code: int) -> None:
    """End the process, at once, if a thread still computes: Python would wait for it.

    Nothing but the flushing of logs happens after this; call it last.
    """
    until = time.monotonic() + _LAST_BREATH_SECONDS
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                logger.warning(
                    "a call of the model did not end and is left",
                    extra={"event": "call_left", "of": thread.name},
                )
                logging.shutdown()
                sys.stdout.flush()
                os._exit(code)


def _allow_files(wanted: int) -> None:
    """Raise the limit on open files as far as it goes. A connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        logger.warning(
            "at most %d files may be open, which is less than the connections that are allowed",
            hard,
            extra={"event": "few_files", "files": hard, "wanted": wanted},
        )
        wanted = hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
