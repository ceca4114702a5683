"""The side port of the workers."""

import urllib.error
import urllib.request

import pytest

from adapters.probes import ProbeServer
from scoring.errors import ConfigurationError


def get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_probes_follow_what_they_ask() -> None:
    """200 while the check holds, else 503; metrics and model as they are; anything else is 404."""
    state = {"ready": False, "alive": True}
    server = ProbeServer(
        "127.0.0.1",
        0,
        lambda: state["ready"],
        lambda: state["alive"],
        lambda: b"a_metric 1\n",
        b'{"name":"toy"}',
    )
    server.start()
    try:
        assert get(server.port, "/readyz") == (503, b"not now\n")
        state.update(ready=True, alive=False)
        assert get(server.port, "/readyz?verbose") == (200, b"ok\n")
        assert get(server.port, "/livez") == (503, b"not now\n")
        assert get(server.port, "/metrics") == (200, b"a_metric 1\n")
        assert get(server.port, "/model") == (200, b'{"name":"toy"}')
        assert get(server.port, "/")[0] == 404
    finally:
        server.stop()
        server.stop()


def test_a_port_that_is_taken_is_named() -> None:
    """The error says which address, and is terminal."""
    first = ProbeServer("127.0.0.1", 0, lambda: True, lambda: True, lambda: b"", b"")
    first.start()
    try:
        second = ProbeServer("127.0.0.1", first.port, lambda: True, lambda: True, lambda: b"", b"")
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{first.port}"):
            second.start()
    finally:
        first.stop()
