"""The refusal that is written without a task: a whole HTTP answer, and the path it guards."""

import json

import pytest

from online_api.processes.connections import busy


@pytest.mark.parametrize("request_id", ["a", "0123456789abcdef0123456789abcdef"])
def test_it_is_a_problem_document_with_its_own_id(request_id: str) -> None:
    """With the length that its body has, and word of when to come again."""
    head, _, body = busy(request_id).partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert headers["content-type"] == "application/problem+json"
    assert int(headers["content-length"]) == len(body)
    assert headers["retry-after"] == "1"
    assert headers["x-request-id"] == request_id
    document = json.loads(body)
    assert document["type"] == "urn:trilane:problem:overloaded"
    assert document["request_id"] == request_id


def test_it_carries_the_servers_headers_and_may_close() -> None:
    """The date, and word that the caller's next request goes elsewhere."""
    head, _, _ = busy("a", [(b"date", b"today")], close=True).partition(b"\r\n\r\n")
    assert b"date: today" in head.split(b"\r\n")
    assert b"connection: close" in head.split(b"\r\n")
    assert b"connection" not in busy("a")
