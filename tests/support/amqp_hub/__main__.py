"""`python -m tests.support.amqp_hub --hub NAME [--hub NAME ...] [--partitions N] ...`."""

import argparse
import asyncio
import contextlib
from pathlib import Path

from tests.support.amqp_hub.server import Server, Settings
from tests.support.amqp_hub.tokens import Policy


def main() -> None:
    """Read the flags and serve."""
    parser = argparse.ArgumentParser(prog="tests.support.amqp_hub", allow_abbrev=False)
    parser.add_argument("--hub", action="append", required=True)
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--group", action="append", default=[], help="none: every group exists")
    parser.add_argument("--key-name", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--jwt-secret", default="")
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--idle-seconds", type=float, default=60.0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--websocket-port", type=int, default=0)
    flags = parser.parse_args()
    settings = Settings(
        hubs=tuple(flags.hub),
        partitions=flags.partitions,
        groups=tuple(flags.group),
        policy=Policy(flags.key_name, flags.key, flags.jwt_secret),
        directory=flags.directory,
        idle_seconds=flags.idle_seconds,
        port=flags.port,
        websocket_port=flags.websocket_port,
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Server(settings).run())


if __name__ == "__main__":
    main()
