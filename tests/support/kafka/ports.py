"""Ports that a server can leave and come back to."""

import random
import socket

_SMALLEST, _LARGEST = 15_000, 32_000


def free_ports(count: int) -> list[int]:
    """Different TCP ports of this machine that nothing listens on right now.

    They lie below those that Linux gives to outgoing connections: while a server is down, one of
    its clients could get such a port, and would then even be connected to itself.
    """
    found: list[int] = []
    for port in random.sample(range(_SMALLEST, _LARGEST), _LARGEST - _SMALLEST):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free ports")
