"""A small HTTP side port with /livez, /readyz, /metrics and /model, for workers that serve nothing
else.
"""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from adapters.telemetry import CONTENT_TYPE
from scoring.errors import ConfigurationError

_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"


class ProbeServer:
    """Answers probes from a thread of its own, so a busy worker still answers.

    /livez is 200 while `alive()`, /readyz while `ready()`, else 503; /metrics is what `metrics()`
    returns, in the Prometheus text format. The three are called from other threads. /model is a
    JSON document that does not change.
    """

    def __init__(
        self,
        host: str,
        port: int,
        ready: Callable[[], bool],
        alive: Callable[[], bool],
        metrics: Callable[[], bytes],
        model: bytes,
    ) -> None:
        """Nothing listens before `start`. Port 0 takes a free one."""
        self._address = (host, port)
        self._handler = _handler(ready, alive, metrics, model)
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
    model: bytes,
) -> type[BaseHTTPRequestHandler]:
    def probe(check: Callable[[], bool]) -> tuple[int, str, bytes]:
        return (200, _TEXT, b"ok\n") if check() else (503, _TEXT, b"not now\n")

    routes: dict[str, Callable[[], tuple[int, str, bytes]]] = {
        "/livez": lambda: probe(alive),
        "/readyz": lambda: probe(ready),
        "/metrics": lambda: (200, CONTENT_TYPE, metrics()),
        "/model": lambda: (200, _JSON, model),
    }

    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # seconds for a client to send its request

        def do_GET(self) -> None:
            route = routes.get(self.path.partition("?")[0])
            status, kind, body = route() if route else (404, _TEXT, b"not found\n")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Probes come every few seconds and say nothing that a log needs."""

    return Handler
