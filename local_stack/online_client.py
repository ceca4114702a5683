"""A plain HTTP client for `/predict`, thin enough that what it times is the server."""

import http.client
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from scoring.errors import TerminalError

Prediction = dict[str, Any]


@dataclass
class OnlineScores:
    """Predictions by record id, and the seconds each request took."""

    predictions: dict[str, Prediction] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)


def score_online(
    port: int,
    records: Sequence[dict[str, Any]],
    per_request: int,
    event_time: str,
    heartbeat: Callable[[str], None],
    reasons: int = 0,
) -> OnlineScores:
    """Post the records over one connection, `per_request` at a time, with so many reasons each.

    Raises TerminalError when an answer is not 200.
    """
    result = OnlineScores()
    path = f"/predict?reasons={reasons}" if reasons else "/predict"
    with _connection(port) as connection:
        for start in range(0, len(records), per_request):
            chunk = records[start : start + per_request]
            body = json.dumps({"records": chunk, "event_time": event_time}).encode()
            began = time.perf_counter()
            answer = _post(connection, path, body)
            result.seconds.append(time.perf_counter() - began)
            for prediction in json.loads(answer)["predictions"]:
                result.predictions[prediction["record_id"]] = prediction
            heartbeat(f"{start + len(chunk):,} of {len(records):,} records")
    return result


@contextmanager
def _connection(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        yield connection
    finally:
        connection.close()


def _post(connection: http.client.HTTPConnection, path: str, body: bytes) -> bytes:
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    if response.status != 200:
        raise TerminalError(f"the online API answered {response.status}: {answer[:300]!r}")
    return answer
