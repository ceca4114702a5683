"""The process around the app: where it listens, and what its processes share."""

import logging
import socket
from pathlib import Path

import pytest

from online_api.processes.listening import is_loopback, open_listener, url_of
from online_api.processes.metrics_directory import PREFIX, metrics_directory
from online_api.processes.workers import MAX_BACKOFF_SECONDS, restart_delay
from online_api.settings import OnlineSettings
from scoring.errors import ConfigurationError

ANY = "0.0.0.0"  # noqa: S104


def settings(**values: object) -> OnlineSettings:
    """Settings of a server on any free port."""
    return OnlineSettings(**{"bundle": Path("bundle"), "port": 0, **values})  # type: ignore[arg-type]


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The events that were logged as warnings."""
    return [getattr(r, "event", "") for r in caplog.records if r.levelno == logging.WARNING]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("10.0.0.4", False),
        ("api.example.org", False),
    ],
)
def test_what_other_machines_reach_is_not_loopback(host: str, loopback: bool) -> None:
    """Names included, but for localhost."""
    assert is_loopback(host) is loopback


def test_without_authentication_it_binds_to_loopback_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever it was told; and says so, with what to configure."""
    with open_listener(settings(host=ANY)) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"
    assert events(caplog) == ["loopback_only"]
    for name in ("TRILANE_API_KEYS_FILE", "TRILANE_ENTRA_TENANT", "TRILANE_ANONYMOUS", ANY):
        assert name in caplog.text


def test_on_demand_it_binds_without_authentication(caplog: pytest.LogCaptureFixture) -> None:
    """With a warning."""
    with open_listener(settings(host=ANY, anonymous=True)) as listener:
        assert listener.getsockname()[0] == ANY
    assert events(caplog) == ["no_authentication"]


@pytest.mark.parametrize(
    "known", [{"api_keys_file": Path("keys")}, {"entra_tenant": "t", "entra_audience": "a"}]
)
def test_with_authentication_it_binds_as_told(
    known: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    """Keys or tokens; nothing to warn of."""
    with open_listener(settings(host=ANY, **known)) as listener:
        assert listener.getsockname()[0] == ANY
    with open_listener(settings(**known)) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
    assert events(caplog) == []


def test_it_listens_when_somebody_can_answer() -> None:
    """Until then a connection is refused and does not wait."""
    with open_listener(settings()) as listener, pytest.raises(ConnectionRefusedError):
        socket.create_connection(listener.getsockname(), 5)


def test_an_address_that_is_taken_is_an_error() -> None:
    """It is named."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port}: "):
            open_listener(settings(port=port))


def test_dead_peers_are_the_kernels_business() -> None:
    """Every connection has the timeouts of the socket it was accepted from."""
    with open_listener(settings(body_seconds=7)) as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000


def test_the_metrics_directory_lives_as_long_as_its_server(tmp_path: Path) -> None:
    """Two servers have two; each takes its own away."""
    with metrics_directory(tmp_path) as one, metrics_directory(tmp_path) as other:
        assert one != other
        assert one.is_dir()
        assert other.is_dir()
        (one / "file").touch()
    assert list(tmp_path.iterdir()) == []


def test_the_metrics_directory_of_a_killed_server_is_removed(tmp_path: Path) -> None:
    """By the next start; that of a living one is not."""
    killed = tmp_path / f"{PREFIX}killed"
    killed.mkdir()
    (killed / "file").touch()
    (tmp_path / "other").mkdir()
    elsewhere = tmp_path / "other" / "kept"
    elsewhere.touch()
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / "other")
    with metrics_directory(tmp_path) as living, metrics_directory(tmp_path):
        assert not killed.exists()
        assert living.exists()
        assert elsewhere.exists()


def test_a_worker_that_dies_again_and_again_is_restarted_ever_later() -> None:
    """At once, then doubling, up to a bound."""
    delays = [restart_delay(failures) for failures in range(1, 60)]
    assert delays[:5] == [0.0, 0.5, 1.0, 2.0, 4.0]
    assert delays == sorted(delays)
    assert delays[-1] == MAX_BACKOFF_SECONDS
