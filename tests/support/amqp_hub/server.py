"""The server's process: it listens, and does what a line on its standard input says.

A line is a JSON object, and so is the answer on standard output; the first line of output has the
ports. When standard input ends, whoever started the process is gone, and so it ends.
"""

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.amqp_hub import websocket
from tests.support.amqp_hub.connection import Connection
from tests.support.amqp_hub.faults import Faults
from tests.support.amqp_hub.hubs import open_hubs
from tests.support.amqp_hub.journal import in_directory
from tests.support.amqp_hub.nodes import Nodes
from tests.support.amqp_hub.tokens import Policy

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server is started with; port 0 takes a free one."""

    hubs: tuple[str, ...]
    partitions: int
    groups: tuple[str, ...]
    policy: Policy
    directory: Path | None
    idle_seconds: float
    port: int
    websocket_port: int


class Server:
    """Everything that lives as long as the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._faults = Faults()
        opened = in_directory(settings.directory)
        self._hubs = open_hubs(settings.hubs, settings.partitions, opened)
        self._nodes = Nodes(self._hubs, settings.policy, self._faults, settings.groups)
        self._connections: set[Connection] = set()

    async def run(self) -> None:
        """Serve until standard input ends."""
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(self._connection, HOST, self._settings.port)
        port = listener.sockets[0].getsockname()[1]
        web_port = await websocket.serve(self._connection, HOST, self._settings.websocket_port)
        _say({"port": port, "websocket_port": web_port})
        lines = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        async for line in lines:
            _say(self._do(**json.loads(line)))

    def _connection(self) -> Connection:
        connection = Connection(self._nodes, self._settings.idle_seconds, self._connections.discard)
        self._connections.add(connection)
        return connection

    def _do(self, act: str, hub: str = "", condition: str = "", detach: bool = False) -> Any:
        if act == "refuse":
            self._faults.refusals[hub] = (condition, detach)
        elif act == "accept":
            self._faults.refusals.pop(hub, None)
        elif act == "drop":
            dropped = tuple(self._connections)
            for connection in dropped:
                connection.drop()
            return len(dropped)
        elif act == "connections":
            return len(self._connections)
        elif act == "counts":
            return [len(partition.events) for partition in self._hubs[hub].partitions]
        elif act == "receivers":
            return [len(partition.readers) for partition in self._hubs[hub].partitions]
        return None


def _say(answer: Any) -> None:
    print(json.dumps(answer), flush=True)
