"""Azurite behind a network that fails: `python -m tests.support.faulty_proxy EVERY COMMAND...`.

Run it where TRILANE_TEST_AZURITE_CONNECTION_STRING names an Azurite; the command finds one there
whose every so manieth request fails.
"""

import http.client
import itertools
import os
import re
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Literal, Self

_AZURITE: Final = "TRILANE_TEST_AZURITE_CONNECTION_STRING"
_ENDPOINT: Final = re.compile(r"http://127\.0\.0\.1:(?P<port>[0-9]+)")
_PATIENCE_SECONDS: Final = 30
_MOST_BYTES: Final = 300 << 20
_BUSY: Final = b'<?xml version="1.0"?><Error><Code>ServerBusy</Code></Error>'

Fault = Literal["busy", "dropped", "answer lost", "cut"]
FAULTS: Final[tuple[Fault, ...]] = ("busy", "dropped", "answer lost", "cut")
"""A 503, or a connection that ends: before the request is passed on, after it, or within the
answer.
"""


class FaultyProxy:
    """Forwards HTTP to a port on 127.0.0.1; `with` listens."""

    def __init__(self, target: int, every: int, *faults: Fault) -> None:
        """Every so manieth request fails, in one of these ways by turns; all of them by default."""
        self.faults: list[Fault] = []
        """Those that happened."""
        self._every = every
        self._requests = itertools.count(1)
        self._kinds = itertools.cycle(faults or FAULTS)
        self._lock = threading.Lock()
        self._server = _Server(self, target)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.cut()

    def next_fault(self) -> Fault | None:
        """What becomes of the next request."""
        with self._lock:
            if next(self._requests) % self._every:
                return None
            self.faults.append(next(self._kinds))
            return self.faults[-1]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, proxy: FaultyProxy, target: int) -> None:
        self.proxy = proxy
        self.target = target
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """See socketserver."""
        self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)

    def cut(self) -> None:
        """End the connections there are."""
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is none of ours."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE_SECONDS
    server: _Server

    def _pass(self) -> None:
        length = min(int(self.headers.get("Content-Length") or 0), _MOST_BYTES)
        body = self.rfile.read(length)
        fault = self.server.proxy.next_fault()
        if fault == "busy":
            self._answer(503, [("x-ms-error-code", "ServerBusy")], _BUSY)
        elif fault == "dropped":
            self._end()
        else:
            status, headers, found = self._forwarded(body)
            if fault == "answer lost":
                self._end()
            else:
                self._answer(status, headers, found, cut=fault == "cut")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815

    def _forwarded(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        target = http.client.HTTPConnection("127.0.0.1", self.server.target, _PATIENCE_SECONDS)
        try:
            target.request(self.command, self.path, body, dict(self.headers.items()))
            answer = target.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            target.close()

    def _answer(
        self, status: int, headers: list[tuple[str, str]], body: bytes, cut: bool = False
    ) -> None:
        own = {"transfer-encoding", "connection", "keep-alive"}
        is_head = self.command == "HEAD"
        if not is_head:
            own.add("content-length")
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in own:
                self.send_header(name, value)
        if not is_head:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not is_head:
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self._end()

    def _end(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


def port_of(connection_string: str) -> int:
    """Where the Azurite of a connection string listens."""
    found = _ENDPOINT.search(connection_string)
    assert found is not None
    return int(found["port"])


def through(proxy: FaultyProxy, connection_string: str) -> str:
    """The connection string that leads through the proxy."""
    return _ENDPOINT.sub(f"http://127.0.0.1:{proxy.port}", connection_string)


def main(every: int, command: list[str]) -> int:
    """The command's exit code."""
    direct = os.environ[_AZURITE]
    with FaultyProxy(port_of(direct), every) as proxy:
        environment = os.environ | {_AZURITE: through(proxy, direct)}
        return subprocess.run(command, check=False, env=environment).returncode


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), sys.argv[2:]))
