"""Where the server listens: the address it may take, and a socket on it."""

import ipaddress
import logging
import socket
from typing import Final

from online_api.settings import OnlineSettings
from scoring.errors import ConfigurationError

BACKLOG: Final = 2048

_LOOPBACK: Final = "127.0.0.1"
_KEEP_ALIVE_SECONDS: Final = 30

logger = logging.getLogger(__name__)


def open_listener(settings: OnlineSettings) -> socket.socket:
    """A socket bound to the address of the settings, or to loopback when nobody has to say who
    calls. Connections are refused until the first process listens on it.

    Raises ConfigurationError.
    """
    host = _host(settings)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _end_dead_peers(listener, settings.body_seconds)
        listener.bind((host, settings.port))
    except OSError as error:
        listener.close()
        raise cannot_listen(f"{host}:{settings.port}", error) from error
    return listener


def cannot_listen(address: str, error: OSError) -> ConfigurationError:
    """What is raised when an address cannot be had."""
    return ConfigurationError(f"cannot listen on {address}: {error.strerror}")


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def url_of(listener: socket.socket) -> str:
    """Where a bound socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _host(settings: OnlineSettings) -> str:
    """The address asked for, unless that would let strangers in."""
    known = settings.api_keys_file is not None or settings.entra_tenant is not None
    if known or is_loopback(settings.host):
        return settings.host
    if settings.anonymous:
        logger.warning(
            "listening on %s without authentication: whoever reaches the port can score",
            settings.host,
            extra={"event": "no_authentication"},
        )
        return settings.host
    logger.warning(
        "listening on %s and not on %s, because no caller could be told from another: configure "
        "TRILANE_API_KEYS_FILE or TRILANE_ENTRA_TENANT, or set TRILANE_ANONYMOUS=true",
        _LOOPBACK,
        settings.host,
        extra={"event": "loopback_only"},
    )
    return _LOOPBACK


def _end_dead_peers(listener: socket.socket, unread_seconds: float) -> None:
    """Let the kernel end connections whose peer is gone, or never takes what was sent.

    Linux copies these to every connection that is accepted (tcp(7)).
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        milliseconds = max(1, int(unread_seconds * 1000))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEP_ALIVE_SECONDS)
