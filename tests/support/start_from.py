"""Azurite with what it lacks: listings from a name on (`startFrom` of List Blobs), which
object_store asks for when it looks for the newest commit of a Delta table.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_BLOB = re.compile(rb"<Blob>.*?<Name>(.*?)</Name>.*?</Blob>", re.DOTALL)
_OF_THE_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


@contextmanager
def listing_from_names(connection_string: str) -> Iterator[str]:
    """A connection string by which the same Azurite is reached; names are plain ASCII.

    A process of its own answers: deltalake holds the interpreter while it waits.
    """
    endpoint = next(p for p in connection_string.split(";") if p.startswith("BlobEndpoint="))
    target = urlsplit(endpoint.partition("=")[2]).netloc
    command = [sys.executable, "-m", "tests.support.start_from", target]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield connection_string.replace(target, server.stdout.readline().strip())
        finally:
            server.terminate()


def main(target: str) -> None:
    """Print the address and answer until terminated."""
    _Handler.azurite = target
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        print(f"127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    azurite = ""

    def _forward(self) -> None:
        sent = self.rfile.read(int(self.headers.get("content-length", 0)))
        connection = HTTPConnection(self.azurite)
        # The signature covers neither the host nor the port.
        connection.request(self.command, self.path, sent, dict(self.headers))
        answer = connection.getresponse()
        body = _from(self.path, answer.read())
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _OF_THE_CONNECTION:
                self.send_header(name, value)
        length = answer.getheader("content-length", "0")
        self.send_header("content-length", length if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        connection.close()

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = _forward  # noqa: N815

    def log_message(self, *args: object) -> None: ...


def _from(path: str, body: bytes) -> bytes:
    first = parse_qs(urlsplit(path).query).get("startFrom")
    if first is None:
        return body
    start = first[0].encode()
    return _BLOB.sub(lambda blob: blob[0] if blob[1] >= start else b"", body)


if __name__ == "__main__":
    main(sys.argv[1])
