"""Structured logs: JSON lines in a container, short text on a terminal. Both go to stderr."""

import fcntl
import json
import logging
import math
import os
import select
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from adapters.tracing import current_trace_id

_FINISH_MS: Final = 100
_PIPE_BYTES: Final = 1 << 20
_WARN_SECONDS: Final = 10.0
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

logger = logging.getLogger(__name__)


class JsonFormatter(logging.Formatter):
    """One JSON object a line; what a call passes as `extra` becomes members of it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {k: v for k, v in record.__dict__.items() if k not in _STANDARD}
        trace_id = current_trace_id()
        if trace_id is not None:
            line["trace_id"] = trace_id
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class LineWriter:
    """Whole lines to a descriptor without waiting for whoever reads them.

    When the reader is behind by more than a pipe holds (1 MiB where that can be asked for), or
    gone, lines are lost, and the next that can be written is followed by a warning with their
    number, every 10 s at most. What was begun is finished for 0.1 s: only more bytes than a pipe
    takes at once (4 KiB on Linux) can be cut off, or mixed with another process's.
    """

    def __init__(self, descriptor: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds from anywhere."""
        self._descriptor = descriptor
        self._clock = clock
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._lost = 0
        self._cut = False
        self._warned = -math.inf
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(OSError):  # no pipe, or more than this user may have
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def __call__(self, lines: bytes) -> None:
        """Write, or lose, one or more lines with their ends. Raises nothing."""
        if self._cut:
            lines = b"\n" + lines
        rest, wait = memoryview(lines), 0
        try:
            while rest and self._poll.poll(wait):
                rest = rest[os.write(self._descriptor, rest[: select.PIPE_BUF]) :]
                wait = _FINISH_MS
        except OSError:
            pass
        if rest:
            self._lost += 1
            self._cut = self._cut or len(rest) < len(lines)
            return
        self._cut = False
        if self._lost and self._clock() - self._warned >= _WARN_SECONDS:
            lost, self._lost, self._warned = self._lost, 0, self._clock()
            logger.warning("log lines were lost", extra={"event": "lines_lost", "lost": lost})


def setup_logging(level: str) -> None:
    """Send every logger of this process to stderr in the form that fits where stderr goes."""
    handler = logging.StreamHandler(sys.stderr)
    if sys.stderr.isatty():
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    else:
        handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)
    # These name every request or request header at INFO.
    for name in ("azure", "httpx", "aiokafka", "alembic", "mlflow.store.db"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # What it warns of is said in our own words (adapters/event_hub).
    logging.getLogger("azure.eventhub").setLevel(logging.ERROR)
