"""A stand-in for the Logs Ingestion API on 127.0.0.1, with the service's own limits.

POST /dataCollectionRules/<rule>/streams/<stream>?api-version=2023-01-01 takes a JSON array of
objects, plain or gzip: at most 1 MB compressed and uncompressed, 64 KB per field, column names of
letters, digits and underscores, numbers that JSON knows. 204 accepts, 413 and 400 refuse.
"""

import gzip
import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MAX_BYTES = 1_000_000
MAX_FIELD_BYTES = 64_000

_PATH = re.compile(r"/dataCollectionRules/([^/]+)/streams/([^/?]+)\?api-version=2023-01-01")
_COLUMN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,44}")


@dataclass
class LogIngestion:
    """What arrived: accepted rows per stream in order, and the size and status of every call.

    `failures` are statuses to answer before looking at a call; 0 drops the connection.
    """

    failures: list[int] = field(default_factory=list)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    calls: list[tuple[int, int]] = field(default_factory=list)
    rules: set[str] = field(default_factory=set)
    endpoint: str = ""

    def answer(self, path: str, headers: Any, body: bytes) -> int:
        """The status for a call; keeps its rows when that is 204."""
        if self.failures:
            return self.failures.pop(0)
        where = _PATH.fullmatch(path)
        if where is None:
            return 404
        if not headers.get("Authorization", "").startswith("Bearer "):
            return 401
        raw = gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
        if max(len(body), len(raw)) > MAX_BYTES:
            return 413
        rows = _rows(raw)
        if rows is None:
            return 400
        self.rules.add(where[1])
        self.rows.setdefault(where[2], []).extend(rows)
        return 204


@contextmanager
def log_ingestion(failures: Sequence[int] = ()) -> Iterator[LogIngestion]:
    """A running stand-in; its `endpoint` is an http URL."""
    state = LogIngestion(list(failures))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    state.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _rows(raw: bytes) -> list[dict[str, Any]] | None:
    try:
        rows = json.loads(raw, parse_constant=_refuse)
    except ValueError:
        return None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return None
    for row in rows:
        for name, value in row.items():
            if not _COLUMN.fullmatch(name) or len(json.dumps(value)) > MAX_FIELD_BYTES:
                return None
    return rows


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _handler(state: LogIngestion) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = state.answer(self.path, self.headers, body)
            state.calls.append((len(body), status))
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Silent."""

    return Handler
