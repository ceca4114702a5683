"""Raw connections for tests, and a server around a small app to which they are made."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.types import Message, Receive, Scope, Send

from online_api.context import Readiness
from online_api.processes.connections import ConnectionLimits, House
from online_api.processes.draining import DrainingServer
from online_api.processes.http_protocol import protocol_of
from online_api.settings import OnlineSettings

PATIENCE_SECONDS = 30
"""How long a test waits for what must happen."""


@dataclass
class Answered:
    """What a peer read."""

    status: int
    headers: dict[str, str]
    body: bytes

    def problem(self) -> dict[str, Any]:
        """The problem document that it must be."""
        assert self.headers["content-type"] == "application/problem+json"
        document: dict[str, Any] = json.loads(self.body)
        assert document["status"] == self.status
        assert document["request_id"] == self.headers["x-request-id"]
        return document


class Peer:
    """One TCP connection that sends what it likes."""

    def __init__(self, address: tuple[str, int], receive_bytes: int | None = None) -> None:
        """`receive_bytes`: how much the kernel keeps for a peer that does not read."""
        self._socket = socket.socket()
        if receive_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._socket.settimeout(PATIENCE_SECONDS)
        self._socket.connect(address)
        self._buffer = b""

    def send(self, *parts: bytes) -> None:
        """Send; a connection that was closed is no error."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(b"".join(parts))

    def answer(self) -> Answered:
        """Read one answer with Content-Length."""
        head = self._until(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")[:-2]
        headers = {
            name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
        }
        length = int(headers.get("content-length", 0))
        while len(self._buffer) < length:
            self._more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Answered(int(status.split()[1]), headers, body)

    def ends(self) -> bool:
        """Wait until the server closes; whether nothing more came. Raises ConnectionError when the
        connection was reset.
        """
        return not self._socket.recv(1) and not self._buffer

    def take(self, size: int) -> int:
        """Read at most so many bytes and throw them away; how many, 0 at the end."""
        try:
            return len(self._socket.recv(size))
        except ConnectionError:
            return 0

    def close(self) -> None:
        """Close."""
        self._socket.close()

    def _until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(end)
        return head + end

    def _more(self) -> None:
        got = self._socket.recv(65536)
        if not got:
            raise ConnectionError("closed")
        self._buffer += got


def get(path: str, *headers: str) -> bytes:
    """A request without a body."""
    return _request("GET", path, headers)


def post(path: str, body: bytes, *headers: str) -> bytes:
    """A request with a body."""
    return _request("POST", path, (*headers, f"Content-Length: {len(body)}")) + body


def _request(method: str, path: str, headers: tuple[str, ...]) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


class SmallApp:
    """Answers `/size/N` with N bytes, `/wait` when told to or cut (with the reason), and the rest
    with the length of the body; `/early` before it has read it.
    """

    def __init__(self) -> None:
        self.go_on = threading.Event()  # asked for again and again: it is set in another thread
        self.asked = 0
        self.answered = 0
        self.headers: list[tuple[bytes, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        self.asked += 1
        path = scope["path"]
        if path == "/early":
            body = b"early"
        elif path.startswith("/size/"):
            body = b"x" * int(path.rpartition("/")[2])
        else:
            body = b"%d" % await self._read(receive)
        self.headers = scope["headers"]
        status = 200
        try:
            while path == "/wait" and not self.go_on.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        except asyncio.CancelledError as error:
            status, body = 503, str(*error.args).encode() or b"cut"
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-length", b"%d" % len(body))],
            }
        )
        await send({"type": "http.response.body", "body": body})
        self.answered += 1

    async def _read(self, receive: Receive) -> int:
        size, more = 0, True
        while more:
            message: Message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        return size


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


@dataclass
class Serving:
    """A server in a thread."""

    address: tuple[str, int]
    app: SmallApp
    server: DrainingServer
    thread: threading.Thread
    readiness: Readiness
    house: House
    refused: list[str]
    peers: list[Peer] = field(default_factory=list)

    def connect(self, receive_bytes: int | None = None) -> Peer:
        """A new connection, closed at the end."""
        self.peers.append(Peer(self.address, receive_bytes))
        return self.peers[-1]

    def connections(self) -> int:
        """How many the server has."""
        return len(self.server.server_state.connections)


@contextmanager
def serving(
    limits: ConnectionLimits | None = None, drain_seconds: float = 0.0, grace_seconds: float = 5.0
) -> Iterator[Serving]:
    """The server as a process has it, with the event loop of production, around a small app."""
    app, readiness, started, refused = SmallApp(), Readiness(), threading.Event(), list[str]()
    readiness.start()
    house = House(limits or ConnectionLimits(), refused.append)
    config = uvicorn.Config(
        app,
        http=protocol_of(house),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    settings = OnlineSettings.model_construct(
        drain_seconds=drain_seconds, grace_seconds=grace_seconds
    )
    server = DrainingServer(config, readiness, settings, started.set, None)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        assert started.wait(PATIENCE_SECONDS)
        opened = Serving(address, app, server, thread, readiness, house, refused)
        try:
            yield opened
        finally:
            app.go_on.set()
            for peer in opened.peers:
                peer.close()
            server.stop(hurry=True)
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()
