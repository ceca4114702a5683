"""What a request leaves on stderr."""

import errno
import json
import logging
import os
import pty
import re
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from adapters.logs import LineWriter
from online_api.context import Exchange, RequestContext
from online_api.request_lines import QUIET, Policy, RequestLines
from scoring.records import ModelVersion, RecordBatch, ScoredBatch

NOW = datetime(2026, 3, 2, 12, 30, 5, 250_000, tzinfo=UTC)
VERSION = ModelVersion("attrition", "7", "digest-7")
FEATURES = ("Age", "JobRole", "Hired", "OverTime")
RECORD_ID = "employee-4711"
SECRET = "Chief Poet"


@pytest.fixture(autouse=True)
def at_info(caplog: pytest.LogCaptureFixture) -> None:
    """The level of a server's log by default."""
    caplog.set_level(logging.INFO)


def exchange(rejected: int = 0) -> Exchange:
    """Two records with their scores, or none because some were rejected."""
    batch = RecordBatch(
        (RECORD_ID, "employee-4712"),
        (
            np.array([41.5, np.nan]),
            np.array([SECRET, None], dtype=object),
            np.array(["2020-01-31T08:00:00", "NaT"], dtype="datetime64[ns]"),
            np.array([True, False]),
        ),
    )
    scored = ScoredBatch(
        VERSION,
        batch,
        {"score": np.array([0.75, 0.25]), "label": np.array(["Yes", "No"], dtype=object)},
        np.array([0.5, 0.6]),
        np.array([False, True]),
    )
    return Exchange(2, rejected, scored.slice(0, 0) if rejected else scored, VERSION)


class Written:
    """Request lines, and what they wrote."""

    def __init__(self, policy: Policy = "sizes", plain: bool = False) -> None:
        self.writes: list[bytes] = []
        self._lines = RequestLines(
            "trilane-online",
            policy,
            self.writes.append,
            {VERSION.digest: FEATURES},
            plain=plain,
            clock=NOW.timestamp,
        )

    def request(
        self,
        exchange: Exchange | None = None,
        route: str = "/predict",
        method: str = "POST",
        status: int = 200,
        caller: str | None = None,
        trace_id: str | None = None,
    ) -> None:
        """One request that took 1.2345 ms."""
        context = RequestContext("id-1", NOW, route=route, caller=caller, exchange=exchange)
        self._lines.request(context, method, status, 0.0012345, trace_id)

    def objects(self) -> list[dict[str, Any]]:
        """The lines of all writes."""
        return [json.loads(line) for line in b"".join(self.writes).splitlines()]


LINE = {
    "time": "2026-03-02T12:30:05.250+00:00",
    "level": "INFO",
    "logger": "online_api.request_lines",
    "message": "POST /predict 200",
    "event": "request",
    "method": "POST",
    "route": "/predict",
    "status": 200,
    "request_id": "id-1",
    "records": 0,
    "rejected": 0,
    "duration_ms": 1.234,
}


def test_a_request_leaves_one_line() -> None:
    """Who asked, for what, how it ended and how long it took."""
    written = Written()
    written.request()
    assert written.objects() == [LINE]


def test_a_caller_and_a_trace_are_named_when_known() -> None:
    """A name is text like any other: nothing in it ends the line."""
    written = Written()
    written.request(caller='team "a"\n{}', trace_id="0af7")
    assert written.objects() == [LINE | {"caller": 'team "a"\n{}', "trace_id": "0af7"}]


def test_what_a_caller_made_up_cannot_forge_a_line() -> None:
    """A method is the caller's own word."""
    written = Written()
    written.request(method='GET"\r\n{"level":"ERROR"}', route="unmatched", status=405)
    (line,) = written.objects()
    assert line["method"] == 'GET"\r\n{"level":"ERROR"}'


@pytest.mark.parametrize("policy", ["off", "sizes", "outputs", "features"])
def test_everything_about_a_request_is_one_write(policy: Policy) -> None:
    """Lines of requests that are answered at once do not mix."""
    written = Written(policy)
    written.request(exchange())
    (text,) = written.writes
    assert text.endswith(b"\n")
    line, *events = written.objects()
    assert line == LINE | {"records": 2, "model": "attrition", "version": "7"}
    assert [event["type"] for event in events] == (
        [] if policy == "off" else ["InputData", "OutputData"]
    )


def test_the_events_have_the_members_of_the_proof_of_concept() -> None:
    """`service_name`, `type`, `request_id` and `data`, so that its queries go on working."""
    written = Written()
    written.request(exchange())
    _, received, answered = written.objects()
    for event, kind in ((received, "InputData"), (answered, "OutputData")):
        rest = {name: value for name, value in event.items() if name != "data"}
        assert rest == {
            "time": LINE["time"],
            "level": "INFO",
            "logger": LINE["logger"],
            "message": kind,
            "event": kind,
            "type": kind,
            "service_name": "trilane-online",
            "request_id": "id-1",
        }
    assert received["data"] == {"records": 2}
    assert answered["data"] == {
        "records": 2,
        "scored": 2,
        "rejected": 0,
        "model": "attrition",
        "version": "7",
    }


def test_outputs_are_written_only_where_the_policy_says_so() -> None:
    """Without record ids and features."""
    written = Written("outputs")
    written.request(exchange())
    _, received, answered = written.objects()
    assert received["data"] == {"records": 2}
    assert answered["data"] == {
        "records": 2,
        "scored": 2,
        "rejected": 0,
        "model": "attrition",
        "version": "7",
        "predictions": [0.75, 0.25],
        "outliers": [0, 1],
        "outputs": {"label": ["Yes", "No"]},
    }
    text = b"".join(written.writes)
    assert SECRET.encode() not in text
    assert RECORD_ID.encode() not in text


def test_features_are_written_only_where_the_policy_says_so() -> None:
    """As JSON text of records, as the proof of concept wrote them; never with record ids."""
    written = Written("features")
    written.request(exchange())
    _, received, answered = written.objects()
    assert json.loads(received["data"]) == [
        {"Age": 41.5, "JobRole": SECRET, "Hired": "2020-01-31T08:00:00.000000Z", "OverTime": True},
        {"Age": None, "JobRole": None, "Hired": None, "OverTime": False},
    ]
    assert answered["data"]["predictions"] == [0.75, 0.25]
    assert RECORD_ID.encode() not in b"".join(written.writes)


@pytest.mark.parametrize("policy", ["sizes", "outputs", "features"])
def test_a_rejected_request_has_no_outputs(policy: Policy) -> None:
    """Its records were not scored, and are not written."""
    written = Written(policy)
    written.request(exchange(rejected=2), status=422)
    line, received, answered = written.objects()
    assert (line["records"], line["rejected"], line["status"]) == (2, 2, 422)
    assert answered["data"]["scored"] == 0
    assert answered["data"]["rejected"] == 2
    assert answered["data"].get("predictions", []) == []
    assert received["data"] == ("[]" if policy == "features" else {"records": 2})


@pytest.mark.parametrize("route", sorted(QUIET))
def test_probes_are_written_at_debug_only(route: str, caplog: pytest.LogCaptureFixture) -> None:
    """Machines ask every few seconds."""
    written = Written()
    written.request(route=route, method="GET")
    assert written.writes == []
    caplog.set_level(logging.DEBUG)
    written.request(route=route, method="GET")
    assert [line["level"] for line in written.objects()] == ["DEBUG"]


def test_the_log_level_is_respected(caplog: pytest.LogCaptureFixture) -> None:
    """At WARNING a request leaves nothing."""
    caplog.set_level(logging.WARNING)
    written = Written("features")
    written.request(exchange())
    assert written.writes == []


def test_a_terminal_gets_short_text() -> None:
    """And no events, whatever the policy."""
    written = Written("features", plain=True)
    written.request(exchange())
    (text,) = written.writes
    assert re.fullmatch(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,250 INFO POST /predict 200\n", text)


def test_a_terminal_gets_no_control_characters() -> None:
    """A method is the caller's own word, and a terminal obeys some."""
    written = Written(plain=True)
    written.request(method="\x1b[2J\nGET", route="unmatched", status=405)
    (text,) = written.writes
    assert text.count(b"\n") == 1
    assert b"\x1b" not in text


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise


def fill(end: int) -> int:
    """Fill the pipe until it takes no more; how many bytes went in."""
    writable, size = select.poll(), 0
    writable.register(end, select.POLLOUT)
    while writable.poll(0):
        size += os.write(end, b"." * 4096)
    return size


def drain(end: int, size: int) -> None:
    """Take so many bytes out."""
    while size:
        size -= len(os.read(end, size))


def test_lines_are_written_whole(pipe: tuple[int, int]) -> None:
    """However long, as long as somebody reads."""
    lines = b"".join(b'{"n":%d}\n' % n for n in range(50_000))
    read: list[bytes] = []

    def reader() -> None:
        while sum(map(len, read)) < len(lines):
            read.append(os.read(pipe[0], 65_536))

    thread = threading.Thread(target=reader)
    thread.start()
    LineWriter(pipe[1])(lines)
    thread.join()
    assert b"".join(read) == lines


def test_lines_are_lost_when_nobody_reads(
    pipe: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    """The caller does not wait. Later lines come through, and a warning counts the lost ones."""
    now = [0.0]
    write = LineWriter(pipe[1], lambda: now[0])
    for seconds, warnings in ((0.0, [3]), (9.9, [3]), (10.0, [3, 6])):  # not more than every 10 s
        now[0] = seconds
        size = fill(pipe[1])
        for _ in range(3):
            write(b"lost\n")
        drain(pipe[0], size)
        write(b"first\n")
        write(b"second\n")
        assert os.read(pipe[0], 100) == b"first\nsecond\n"
        assert [vars(r)["lost"] for r in caplog.records] == warnings


def test_a_reader_may_be_behind(pipe: tuple[int, int]) -> None:
    """By more than the 64 KiB that a pipe holds by default, which a busy server fills in 10 ms."""
    write = LineWriter(pipe[1])
    assert fill(pipe[1]) > 65_536
    write(b"lost\n")


def test_a_line_that_was_cut_off_does_not_run_into_the_next(pipe: tuple[int, int]) -> None:
    """More than a pipe holds, and nobody reads: what comes next begins a line of its own."""
    write = LineWriter(pipe[1])
    size = fill(pipe[1])
    drain(pipe[0], size)
    write(b"x" * (size + 1) + b"\n")
    drain(pipe[0], size)
    write(b"whole\n")
    assert os.read(pipe[0], 100) == b"\nwhole\n"


def test_a_reader_that_left_breaks_nothing(pipe: tuple[int, int]) -> None:
    """Neither does a closed stderr."""
    write = LineWriter(pipe[1])
    os.close(pipe[0])
    write(b"lost\n")
    os.close(pipe[1])
    write(b"lost\n")


def test_a_terminal_is_told_apart() -> None:
    """The command writes short text to a terminal and JSON elsewhere."""
    master, slave = pty.openpty()
    child = (
        "import logging; logging.getLogger().setLevel('INFO');"
        "from datetime import UTC, datetime;"
        "from online_api.context import RequestContext;"
        "from online_api.request_lines import open_request_lines;"
        "lines = open_request_lines('s', 'sizes', {});"
        "context = RequestContext('id', datetime.now(UTC), route='/model');"
        "lines.request(context, 'GET', 200, 0.1)"
    )
    subprocess.run([sys.executable, "-c", child], stderr=slave, check=True)
    text = os.read(master, 4096)
    os.close(slave)
    os.close(master)
    assert text.rstrip().endswith(b" INFO GET /model 200")
    done = subprocess.run([sys.executable, "-c", child], capture_output=True, check=True)
    assert json.loads(done.stderr)["message"] == "GET /model 200"
