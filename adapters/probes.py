"""A small HTTP side port with probes, metrics and pages, for workers that serve nothing else."""

import threading
from collections.abc import Callable, Iterable, Mapping
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from adapters.telemetry import CONTENT_TYPE
from scoring.errors import ConfigurationError

Page = tuple[str, bytes]
"""Content type and body."""

JSON: Final = "application/json"
HTML: Final = "text/html; charset=utf-8"

_TEXT: Final = "text/plain; charset=utf-8"
# A page may style itself and do nothing else: no script, no other host, no frame around it.
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class ProbeServer:
    """Answers probes from a thread of its own, so a busy worker still answers.

    /livez is 200 while `alive()`, /readyz while `ready()`, else 503; /metrics is what `metrics()`
    returns, in the Prometheus text format. The three are called from other threads. `pages` are
    what does not change, by path; / lists everything there is.
    """

    def __init__(
        self,
        host: str,
        port: int,
        ready: Callable[[], bool],
        alive: Callable[[], bool],
        metrics: Callable[[], bytes],
        pages: Mapping[str, Page],
    ) -> None:
        """Nothing listens before `start`. Port 0 takes a free one."""
        self._address = (host, port)
        self._handler = _handler(ready, alive, metrics, pages)
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, or was asked for before `start`."""
        return self._address[1] if self._server is None else int(self._server.server_address[1])

    def start(self) -> None:
        """Listen. Raises ConfigurationError naming an address that cannot be had."""
        host, port = self._address
        try:
            self._server = _Server(self._address, self._handler)
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {host}:{port} (probe host and port): {error.strerror}"
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="probes", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; nothing happens when it never started."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server = self._thread = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


def _handler(
    ready: Callable[[], bool],
    alive: Callable[[], bool],
    metrics: Callable[[], bytes],
    pages: Mapping[str, Page],
) -> type[BaseHTTPRequestHandler]:
    def probe(check: Callable[[], bool]) -> tuple[int, str, bytes]:
        return (200, _TEXT, b"ok\n") if check() else (503, _TEXT, b"not now\n")

    routes: dict[str, Callable[[], tuple[int, str, bytes]]] = {
        "/livez": lambda: probe(alive),
        "/readyz": lambda: probe(ready),
        "/metrics": lambda: (200, CONTENT_TYPE, metrics()),
    }
    index = _index([*pages, *routes])

    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # seconds for a client to send its request

        def do_GET(self) -> None:
            status, kind, body = self._answer(self.path.partition("?")[0])
            self.send_response(status)
            for name, value in _HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _answer(self, path: str) -> tuple[int, str, bytes]:
            if path in routes:
                return routes[path]()
            if path in pages:
                return (200, *pages[path])
            return (200, HTML, index) if path == "/" else (404, _TEXT, b"not found\n")

        def log_message(self, *_: object) -> None:
            """Probes come every few seconds and say nothing that a log needs."""

    return Handler


def _index(paths: Iterable[str]) -> bytes:
    """Links that are relative, for whoever looks through a proxy."""
    links = "".join(
        f'<li><a href="{escape(path.removeprefix("/"))}">{escape(path)}</a></li>' for path in paths
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="UTF-8"><title>trilane</title>'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,"></head>'
        f"<body><ul>{links}</ul></body></html>\n"
    ).encode()
