"""How a server stops: not ready first, then deaf, then gone."""

import signal
import socket
import time
from collections.abc import Callable

import pytest

from online_api.processes.connections import ConnectionLimits
from tests.support.connections import PATIENCE_SECONDS, Serving, get, post, serving


def until(condition: Callable[[], bool]) -> None:
    """Wait for what must happen."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def refused(server: Serving) -> bool:
    """Whether a new connection is."""
    try:
        socket.create_connection(server.address, 5).close()
    except ConnectionRefusedError:
        return True
    return False


def ended(server: Serving) -> bool:
    """Whether the server is gone."""
    server.thread.join(PATIENCE_SECONDS)
    return not server.thread.is_alive()


def test_while_it_drains_everybody_is_answered() -> None:
    """On connections that are open and on new ones, but it is not ready from the first moment."""
    with serving(drain_seconds=60) as server:
        before = server.connect()
        server.server.stop(hurry=False)
        assert not server.readiness.ready
        time.sleep(0.5)
        for peer in (before, server.connect(), before):
            peer.send(get("/"))
            assert peer.answer().status == 200
        server.server.stop(hurry=True)
        assert ended(server)


def test_after_the_drain_time_it_ends() -> None:
    """Without another signal; connections that are idle are closed and new ones refused."""
    with serving(drain_seconds=0.3) as server:
        idle = server.connect()
        idle.send(get("/"))
        assert idle.answer().status == 200
        server.server.stop(hurry=False)
        assert idle.ends()
        assert ended(server)
        assert refused(server)


def test_requests_that_have_begun_are_answered() -> None:
    """One that is worked on, one of which half the headers are there, one of which half the body
    is; and each answer says that the connection closes.
    """
    with serving(grace_seconds=60) as server:
        working, heading, sending = (server.connect() for _ in range(3))
        working.send(get("/wait"))
        heading.send(get("/")[:-2])
        request = post("/", b"12345")
        sending.send(request[:-2])
        until(lambda: server.connections() == 3 and len(server.server.server_state.tasks) == 2)
        server.server.stop(hurry=False)
        until(lambda: refused(server))
        time.sleep(1.5)
        heading.send(b"\r\n")
        sending.send(request[-2:])
        server.app.go_on.set()
        for peer, body in ((working, b"0"), (heading, b"0"), (sending, b"5")):
            answer = peer.answer()
            assert (answer.status, answer.body) == (200, body)
            assert answer.headers["connection"] == "close"
            assert peer.ends()
        assert ended(server)


def test_a_request_that_is_refused_meanwhile_ends_its_connection() -> None:
    """One that had begun when the server stopped to listen, and finds too many before it."""
    limits = ConnectionLimits(60, 60, 60, max_in_flight=1)
    with serving(limits, grace_seconds=3600) as server:
        working, heading = server.connect(), server.connect()
        working.send(get("/wait"))
        heading.send(get("/")[:-2])
        until(lambda: server.app.asked == 1 and server.connections() == 2)
        server.server.stop(hurry=False)
        until(lambda: refused(server))
        heading.send(b"\r\n")
        assert heading.answer().status == 503
        assert heading.ends()
        server.app.go_on.set()
        assert working.answer().status == 200
        assert ended(server)


def test_a_connection_that_was_just_made_may_ask_once() -> None:
    """Its first request may be under way when the server stops to listen."""
    with serving(grace_seconds=60) as server:
        asking, silent = server.connect(), server.connect()
        until(lambda: server.connections() == 2)
        server.server.stop(hurry=False)
        until(lambda: refused(server))
        asking.send(get("/"))
        assert asking.answer().status == 200
        assert silent.ends()
        assert ended(server)


def test_a_request_that_does_not_end_is_cut() -> None:
    """The app is told and answers; what it answers still leaves."""
    with serving(grace_seconds=0.3) as server:
        peer = server.connect()
        peer.send(get("/wait"))
        until(lambda: bool(server.server.server_state.tasks))
        server.server.stop(hurry=False)
        answer = peer.answer()
        assert (answer.status, answer.body) == (503, b"cut")
        assert ended(server)


def test_an_answer_that_is_not_read_does_not_keep_it() -> None:
    """The grace time is for it too."""
    with serving(grace_seconds=0.3) as server:
        peer = server.connect(receive_bytes=4096)
        peer.send(get("/size/20000000"))
        until(lambda: server.app.answered == 1)
        server.server.stop(hurry=False)
        assert ended(server)


@pytest.mark.parametrize(
    "numbers", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM], [signal.SIGTERM, signal.SIGINT]]
)
def test_the_drain_time_can_be_skipped(numbers: list[int]) -> None:
    """By SIGINT, or a second signal."""
    with serving(drain_seconds=3600) as server:
        for number in numbers:
            server.server.signalled(number, None)
        assert ended(server)
