"""What one request leaves on stderr: its line and, for requests that score, two events.

The events are those of the proof of concept that this project grew from
(nfmoore/azure-databricks-containers-mlops-example-scenarios: `service_name`, `type`, `request_id`,
`data`), so that queries over container logs go on working. No line holds a header, a query or a
path that no route has.
"""

import asyncio
import logging
import os
import select
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec
import numpy as np

from adapters.logs import LineWriter
from online_api.context import Exchange, RequestContext
from scoring.records import Column, RecordBatch

Policy = Literal["off", "sizes", "outputs", "features"]

QUIET: Final = frozenset(
    {
        *("/livez", "/readyz", "/metrics", "/ping", "/health"),
        *("/v2/health/live", "/v2/health/ready"),
        *("/v2/models/{name}/ready", "/v2/models/{name}/versions/{version}/ready"),
    }
)
"""Asked every few seconds by machines; at DEBUG."""

_encode: Final = msgspec.json.Encoder().encode

logger = logging.getLogger(__name__)


class RequestLines:
    """Prebuilt bytes in one write, because the logging module would cost more than scoring."""

    def __init__(
        self,
        service: str,
        policy: Policy,
        write: Callable[[bytes], None],
        features: Mapping[str, Sequence[str]],
        plain: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`features` has the names of each model's features by the bundle's digest. `write` raises
        nothing. `clock` counts seconds since 1970. `plain` is for a terminal: short, no events.
        """
        self._service = _encode(service)
        self._policy = policy
        self._write = write
        self._features = features
        self._plain = plain
        self._clock = clock
        self._second, self._time = -1, ""

    def request(
        self,
        context: RequestContext,
        method: str,
        status: int,
        seconds: float,
        trace_id: str | None = None,
    ) -> None:
        """Write the line and the events of a request that was answered; raises nothing."""
        level = logging.DEBUG if context.route in QUIET else logging.INFO
        if not logger.isEnabledFor(level):
            return
        now = self._clock()
        if self._plain:
            self._write(_plain_line(now, level, method, context.route, status))
            return
        start = self._start(now)
        exchange = context.exchange
        line = (
            start
            + _what(level, method, context.route, status)
            + _encode(context.request_id)
            + b',"records":%d,"rejected":%d,"duration_ms":%.3f'
            % (
                0 if exchange is None else exchange.records,
                0 if exchange is None else exchange.rejected,
                seconds * 1000,
            )
        )
        if exchange is not None:
            line += _model(exchange.version.name, exchange.version.version)
        if context.caller is not None:
            line += b',"caller":' + _encode(context.caller)
        if trace_id is not None:
            line += b',"trace_id":' + _encode(trace_id)
        line += b"}\n"
        if exchange is not None and self._policy != "off":
            line += self._events(start, _encode(context.request_id), exchange)
        self._write(line)

    def _start(self, now: float) -> bytes:
        second = int(now)
        if second != self._second:
            self._second = second
            self._time = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f'{{"time":"{self._time}.{int((now - second) * 1000):03d}+00:00",'.encode()

    def _events(self, start: bytes, request_id: bytes, exchange: Exchange) -> bytes:
        rest = b',"request_id":%b,"data":' % request_id
        head = start + _EVENT_START
        return b"".join(
            (
                *(head, _INPUT, self._service, rest, self._input(exchange), b"}\n"),
                *(head, _OUTPUT, self._service, rest, self._output(exchange), b"}\n"),
            )
        )

    def _input(self, exchange: Exchange) -> bytes:
        """The size or, where the policy says so, the scored records as JSON text, as in the proof
        of concept.
        """
        if self._policy != "features":
            return b'{"records":%d}' % exchange.records
        names = self._features[exchange.version.digest]
        return _encode(_encode(_rows(names, exchange.scored.batch)).decode())

    def _output(self, exchange: Exchange) -> bytes:
        sizes = b'{"records":%d,"scored":%d,"rejected":%d' % (
            exchange.records,
            exchange.records - exchange.rejected,
            exchange.rejected,
        )
        sizes += _model(exchange.version.name, exchange.version.version)
        if self._policy == "sizes":
            return sizes + b"}"
        scored = exchange.scored
        # The proof of concept's members first: one number per record, and 0 or 1.
        (_, predictions), *others = scored.outputs.items()
        sizes += b',"predictions":' + _encode(predictions.tolist())
        if scored.outliers is not None:
            sizes += b',"outliers":' + _encode(scored.outliers.astype(np.int8).tolist())
        if others:
            sizes += b',"outputs":' + _encode({name: column.tolist() for name, column in others})
        return sizes + b"}"


def open_request_lines(
    service: str, policy: Policy, features: Mapping[str, Sequence[str]]
) -> RequestLines:
    """Lines to this process's stderr, in the form that fits where it goes."""
    stderr = 2
    write = GatheredWriter(LineWriter(stderr))
    return RequestLines(service, policy, write, features, plain=os.isatty(stderr))


class GatheredWriter:
    """What is written in one turn of the event loop leaves together: a call of the kernel costs
    more than a line. Outside of a loop everything leaves at once.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._waiting: list[bytes] = []

    def __call__(self, lines: bytes) -> None:
        """Raises nothing but what `write` raises."""
        if not self._waiting:
            try:
                asyncio.get_running_loop().call_soon(self._leave)
            except RuntimeError:
                self._write(lines)
                return
        self._waiting.append(lines)

    def _leave(self) -> None:
        waiting, self._waiting = self._waiting, []
        together = waiting[0]
        for lines in waiting[1:]:
            # More than this a pipe may mix with what other processes write.
            if len(together) + len(lines) > select.PIPE_BUF:
                self._write(together)
                together = lines
            else:
                together += lines
        self._write(together)


_EVENT_START: Final = b'"level":"INFO","logger":%b,' % _encode(__name__)
_INPUT: Final = b'"message":"InputData","event":"InputData","type":"InputData","service_name":'
_OUTPUT: Final = b'"message":"OutputData","event":"OutputData","type":"OutputData","service_name":'


@lru_cache(1024)  # bounded, though routes are few: a method is the caller's own word
def _what(level: int, method: str, route: str, status: int) -> bytes:
    parts = {
        "level": logging.getLevelName(level),
        "logger": __name__,
        "message": f"{method} {route} {status}",
        "event": "request",
        "method": method,
        "route": route,
        "status": status,
    }
    return _encode(parts)[1:-1] + b',"request_id":'


@lru_cache(64)
def _model(name: str, version: str) -> bytes:
    return b',"model":%b,"version":%b' % (_encode(name), _encode(version))


def _plain_line(now: float, level: int, method: str, route: str, status: int) -> bytes:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    name = logging.getLevelName(level)
    line = f"{when},{int(now % 1 * 1000):03d} {name} {method} {route} {status}"
    return line.encode("unicode_escape") + b"\n"  # a terminal obeys control characters


def _rows(names: Sequence[str], batch: RecordBatch) -> list[dict[str, Any]]:
    columns = [_plain_values(column) for column in batch.columns]
    if not columns:
        return [{} for _ in batch.record_ids]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _plain_values(column: Column) -> list[Any]:
    """Values that JSON has; NaN becomes null when it is encoded, like NaT here."""
    if column.dtype.kind != "M":
        return column.tolist()  # type: ignore[no-any-return]
    texts = np.datetime_as_string(column, unit="us", timezone="UTC")
    return [None if text == "NaT" else str(text) for text in texts]
