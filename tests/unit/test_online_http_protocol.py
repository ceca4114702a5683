"""Connections that are slow, silent, too many, too large or no HTTP."""

import time
from collections.abc import Callable

import pytest

from online_api.context import LATE_ANSWER
from online_api.processes.connections import (
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    MAX_PIPELINED,
    MAX_TURNED_AWAY,
    ConnectionLimits,
)
from tests.support.connections import PATIENCE_SECONDS, get, post, serving

SHORT = ConnectionLimits(0.3, 0.3, 0.3)
LONG = ConnectionLimits(60, 60, 60)


def until(condition: Callable[[], bool]) -> None:
    """Wait for what must happen."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_requests_follow_each_other_on_one_connection() -> None:
    """With and without a body, whole and in pieces; a trailer is not a header."""
    with serving(LONG) as server:
        peer = server.connect()
        for _ in range(3):
            peer.send(post("/", b"12345"))
            assert peer.answer().body == b"5"
        for byte in post("/", b"123"):
            peer.send(bytes([byte]))
        assert peer.answer().body == b"3"
        peer.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        peer.send(b"2\r\nab\r\n0\r\nX-Late: 1\r\n\r\n")
        assert peer.answer().body == b"2"
        assert [name for name, _ in server.app.headers] == [b"transfer-encoding"]
        assert server.refused == []


def test_a_silent_connection_is_closed() -> None:
    """Nothing was asked, so nothing is answered."""
    with serving(SHORT) as server:
        assert server.connect().ends()
        assert server.refused == []


@pytest.mark.parametrize("before", [0, 2])
def test_headers_that_trickle_in_are_answered_with_408(before: int) -> None:
    """At the first request of a connection and at a later one; every byte is in time, all are not.

    The clock does not start anew with a byte.
    """

    def refused() -> bool:
        peer.send(b"a")
        time.sleep(0.05)
        return bool(server.refused)

    with serving(ConnectionLimits(0.3, 60, 60)) as server:
        peer = server.connect()
        for _ in range(before):
            peer.send(get("/"))
            assert peer.answer().status == 200
            time.sleep(0.5)
        peer.send(b"GET / HTTP/1.1\r\nX: ")
        until(refused)
        answer = peer.answer()
        assert answer.status == 408
        assert answer.problem()["type"] == "urn:trilane:problem:request-timeout"
        assert answer.headers["connection"] == "close"
        assert peer.ends()
        assert server.refused == ["slow_headers"]


def test_an_idle_connection_is_closed() -> None:
    """Without a word, as nothing was asked."""
    with serving(ConnectionLimits(60, 60, 0.3)) as server:
        peer = server.connect()
        peer.send(get("/"))
        assert peer.answer().status == 200
        assert peer.ends()


def test_a_request_that_is_worked_on_is_not_idle() -> None:
    """It may take longer than any limit of the connection."""
    with serving(SHORT) as server:
        peer = server.connect()
        peer.send(get("/wait"))
        time.sleep(1)
        server.app.go_on.set()
        assert peer.answer().status == 200


def test_an_answer_that_takes_too_long_is_cut() -> None:
    """The app is told why. Requests that stand behind have a time of their own, and the body of one
    of them that is late is not the fault of the first.
    """
    with serving(ConnectionLimits(60, 0.2, 60, deadline_seconds=1)) as server:
        peer = server.connect()
        behind = post("/", b"12345")
        peer.send(get("/wait"), behind[:-1])
        answer = peer.answer()
        assert (answer.status, answer.body) == (503, LATE_ANSWER.encode())
        peer.send(behind[-1:], get("/wait"))
        until(lambda: server.app.asked == 3)
        server.app.go_on.set()
        assert [peer.answer().status for _ in range(2)] == [200, 200]


def test_a_request_beyond_those_worked_on_is_refused() -> None:
    """Its connection goes on unless it was to close; either way it is counted as nothing else."""
    with serving(ConnectionLimits(60, 60, 60, max_in_flight=1)) as server:
        working, going, closing = (server.connect() for _ in range(3))
        working.send(get("/wait"))
        until(lambda: server.app.asked == 1)
        going.send(post("/", b"12345"))
        closing.send(post("/", b"12345", "Connection: close"))
        for peer in (going, closing):
            answer = peer.answer()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert answer.problem()["type"] == "urn:trilane:problem:overloaded"
        assert closing.ends()
        server.app.go_on.set()
        assert working.answer().status == 200
        going.send(post("/", b"12345"))
        assert going.answer().body == b"5"
        assert server.refused == ["in_flight"] * 2


def test_beyond_the_limit_connections_are_answered_with_503() -> None:
    """Those inside still work; when one closes, the next is taken."""
    with serving(ConnectionLimits(60, 60, 60, max_connections=3)) as server:
        inside = [server.connect() for _ in range(3)]
        until(lambda: server.connections() == 3)
        outside = server.connect()
        outside.send(get("/"))
        answer = outside.answer()
        assert answer.status == 503
        assert answer.problem()["type"] == "urn:trilane:problem:overloaded"
        assert answer.headers["retry-after"] == "1"
        assert outside.ends()
        assert server.refused == ["connections"]
        for peer in inside:
            peer.send(get("/"))
            assert peer.answer().status == 200
        inside[0].close()
        until(lambda: server.connections() == 2)
        peer = server.connect()
        peer.send(get("/"))
        assert peer.answer().status == 200


def test_a_flood_beyond_the_limit_ends() -> None:
    """Many more than are answered one by one; all are closed and the one inside works."""
    with serving(ConnectionLimits(60, 60, 60, max_connections=1)) as server:
        inside = server.connect()
        until(lambda: server.connections() == 1)
        outside = [server.connect() for _ in range(400)]
        inside.send(get("/"))
        assert inside.answer().status == 200
        for peer in outside:
            while peer.take(65536):
                pass
            peer.close()
        assert len(server.refused) == 400
        until(lambda: not server.house.turned_away)
        assert server.connect().answer().status == 503


def test_not_everybody_beyond_the_limit_is_answered() -> None:
    """While many are, the next are closed only."""
    with serving(ConnectionLimits(60, 60, 60, max_connections=0)) as server:
        server.house.turned_away.update(range(MAX_TURNED_AWAY - 1))
        last = server.connect()
        assert last.answer().status == 503
        assert server.connect().take(1) == 0


@pytest.mark.parametrize(
    "request_head",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_http_is_answered_with_400(request_head: bytes) -> None:
    """A problem document, and the connection closes."""
    with serving(LONG) as server:
        peer = server.connect()
        peer.send(request_head)
        answer = peer.answer()
        assert answer.status == 400
        assert answer.problem()["type"] == "urn:trilane:problem:malformed-request"
        assert peer.ends()
        assert server.refused == ["malformed_request"]


def test_garbage_behind_a_request_does_not_take_its_answer() -> None:
    """The request before it is answered, then the connection closes."""
    with serving(LONG) as server:
        peer = server.connect()
        peer.send(get("/wait"), b"garbage\r\n\r\n")
        until(lambda: bool(server.refused))
        server.app.go_on.set()
        assert peer.answer().status == 200
        assert peer.ends()


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nX: " + b"a" * MAX_HEADER_BYTES + b"\r\n\r\n",
        b"GET /" + b"a" * MAX_HEADER_BYTES + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * (64 * MAX_HEADER_BYTES),
        b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * (MAX_HEADERS + 1) + b"\r\n",
    ],
)
def test_headers_beyond_the_limit_are_answered_with_431(head: bytes) -> None:
    """One that is large, the target, one without end, and many; the answer arrives."""
    with serving(LONG) as server:
        peer = server.connect()
        peer.send(head)
        answer = peer.answer()
        assert answer.status == 431
        assert answer.problem()["type"] == "urn:trilane:problem:headers-too-large"
        assert peer.ends(), "no reset, even though there is more to read"
        assert server.refused == ["headers_too_large"]


def test_a_large_body_is_no_large_header() -> None:
    """Only what comes before the body counts, even in one piece with it."""
    with serving(LONG) as server:
        peer = server.connect()
        peer.send(post("/", b"x" * 1_000_000, "X: " + "a" * (MAX_HEADER_BYTES // 2)))
        assert peer.answer().body == b"1000000"


@pytest.mark.parametrize("together", [0, 1])
def test_a_peer_that_does_not_read_is_cut_off(together: int) -> None:
    """Its answer does not wait for ever, and it gets no second one worked on meanwhile."""
    with serving(SHORT) as server:
        peer = server.connect(receive_bytes=4096)
        size = 20_000_000
        peer.send(get(f"/size/{size}"), get("/size/1") * together)
        until(lambda: server.app.answered == 1)
        peer.send(get("/size/1"))
        until(lambda: server.refused == ["unread_answer"])
        until(lambda: server.connections() == 0)
        assert server.app.asked == 1
        taken = 0
        while got := peer.take(1_000_000):
            taken += got
        assert taken < size


def test_a_peer_that_does_not_read_is_cut_off_although_the_connection_was_to_close() -> None:
    """Closing waits for what is to be sent; not for ever."""
    with serving(SHORT) as server:
        peer = server.connect(receive_bytes=4096)
        peer.send(get("/size/20000000", "Connection: close"))
        until(lambda: server.refused == ["unread_answer"])
        until(lambda: server.connections() == 0)


def test_a_slow_reader_gets_its_whole_answer() -> None:
    """It takes longer than the limit but goes on reading; then the next request is answered."""
    with serving(ConnectionLimits(60, 0.4, 60)) as server:
        peer = server.connect(receive_bytes=65536)
        size = 12_000_000
        peer.send(get(f"/size/{size}"), get("/"))
        taken = 0
        while taken < size:
            got = peer.take(300_000)
            assert got
            taken += got
            time.sleep(0.05)
        assert server.refused == []
        until(lambda: server.app.answered == 2)


def test_pipelined_requests_are_answered_in_order() -> None:
    """As many as may wait; beyond that the connection closes."""
    with serving(LONG) as server:
        peer = server.connect()
        peer.send(*[post("/", b"x" * n) for n in range(MAX_PIPELINED)])
        assert [peer.answer().body for _ in range(MAX_PIPELINED)] == [
            b"%d" % n for n in range(MAX_PIPELINED)
        ]
        # Together these are more than headers may be.
        head = get("/", "X: " + "a" * 1000)
        peer.send(head * (MAX_PIPELINED - 1), head[:-2])
        assert [peer.answer().status for _ in range(MAX_PIPELINED - 1)] == [200] * (
            MAX_PIPELINED - 1
        )
        peer.send(head[-2:])
        assert peer.answer().status == 200
        peer.send(get("/") * 5_000)
        while peer.take(65536):
            pass
        assert server.app.answered < 1000


def test_the_rest_of_a_body_that_was_answered_is_skipped() -> None:
    """The connection goes on with the next request; a rest that does not come ends it."""
    with serving(ConnectionLimits(60, 0.3, 60)) as server:
        peer = server.connect()
        request = post("/early", b"x" * 100)
        peer.send(request[:-50])
        assert peer.answer().body == b"early"
        peer.send(request[-50:])
        time.sleep(1)
        peer.send(get("/"))
        assert peer.answer().body == b"0"
        peer.send(request[:-50])
        assert peer.answer().body == b"early"
        assert peer.ends()


def test_an_offer_of_another_protocol_is_not_taken() -> None:
    """HTTP/1.1 goes on, with the body of the request and what stands behind it.

    Clients of Java offer HTTP/2 with every first request, POST included.
    """
    with serving(LONG) as server:
        peer = server.connect()
        offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA")
        peer.send(post("/", b"123", *offer), get("/"))
        assert [peer.answer().body for _ in range(2)] == [b"3", b"0"]
        peer.send(get("/", "Connection: Upgrade", "Upgrade: websocket"), get("/"))
        assert [peer.answer().body for _ in range(2)] == [b"0", b"0"]
        assert server.refused == []
