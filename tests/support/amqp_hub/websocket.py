"""The same bytes in WebSocket messages (OASIS AMQP WebSocket Binding), on a port of its own."""

import asyncio
from collections.abc import Callable

from aiohttp import WSMsgType, web

from tests.support.amqp_hub.connection import Connection

PATH = "/$servicebus/websocket"
SUBPROTOCOL = "AMQPWSB10"
_MAX_MESSAGE_BYTES = 4 << 20


class _Transport:
    """What a Connection writes to; a task sends it on."""

    def __init__(self) -> None:
        self.parts = asyncio.Queue[bytes | None]()
        self._closing = False

    def write(self, data: bytes) -> None:
        self.parts.put_nowait(data)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self.parts.put_nowait(None)

    abort = close


async def serve(open_connection: Callable[[], Connection], host: str, port: int) -> int:
    """Listen; returns the port."""

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=(SUBPROTOCOL,), max_msg_size=_MAX_MESSAGE_BYTES)
        await socket.prepare(request)
        connection, transport = open_connection(), _Transport()
        connection.connection_made(transport)
        sending = asyncio.create_task(_send(socket, transport))
        try:
            async for message in socket:
                if message.type is WSMsgType.BINARY:
                    connection.data_received(message.data)
        finally:
            transport.close()
            connection.connection_lost(None)
            await sending
        return socket

    app = web.Application()
    app.router.add_get(PATH, handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    return int(runner.addresses[0][1])


async def _send(socket: web.WebSocketResponse, transport: _Transport) -> None:
    while (part := await transport.parts.get()) is not None:
        try:
            await socket.send_bytes(part)
        except ConnectionError:
            transport.close()
    await socket.close()
