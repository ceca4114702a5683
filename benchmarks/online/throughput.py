"""One record per request on 8 connections, and 100 per request: beside empty endpoints and others'
model servers, one process each, in turns.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from benchmarks.online import peers
from benchmarks.online.bench import ROUNDS, Bench
from benchmarks.online.bodies import (
    Records,
    as_array,
    as_dataframe_records,
    as_open_inference,
    read_manifest,
)
from benchmarks.online.models import COMPILED, bundle_of
from benchmarks.online.report import Bar, at_least, at_most, beside, duration
from benchmarks.online.servers import BenchError
from benchmarks.online.wrk import Contestant, Rounds, in_turns
from benchmarks.sections import say

CONNECTIONS: Final = 8
BATCH: Final = 100
UPLOAD_SECONDS: Final = 2.0
"""Between uploads, so that every turn has some and none is left out of the account."""

_JSON: Final = {"Content-Type": "application/json"}
_OURS, _EMPTY, _ECHO = "trilane", "empty FastAPI endpoint", "bare ASGI echo"
_MLFLOW, _MLSERVER, _LINEAR = "mlflow models serve", "MLServer", "trilane, logistic regression"


def one_record(bench: Bench) -> Iterator[Bar]:
    """The shipped model, one record per request."""
    records, model = bench.records(1), bench.bundle.absolute() / "model"
    environment = bench.cache / "mlserver"
    skipped = None
    try:
        peers.install_mlserver(environment)
    except BenchError as error:
        skipped = str(error)
    ours = bench.deployment("one", upload_interval_seconds=UPLOAD_SECONDS)
    say("starting the servers")
    with ExitStack() as stack:
        contestants = [
            bench.contestant(_OURS, ours, stack.enter_context(ours.start()).port, records),
            *_floors(bench, stack, records),
        ]
        other = stack.enter_context(peers.mlflow_server(model, bench.scratch))
        body = as_dataframe_records(records)
        contestants.append(Contestant(_MLFLOW, other.port, "/invocations", body, _JSON))
        if skipped is None:
            other = stack.enter_context(peers.mlserver(model, environment, bench.scratch))
            path = f"/v2/models/{peers.MLSERVER_NAME}/infer"
            body = as_open_inference(records, read_manifest(bench.bundle).inputs)
            contestants.append(Contestant(_MLSERVER, other.port, path, body, _JSON))
        say(f"{ROUNDS} rounds of {len(contestants)} servers, one record per request")
        rounds = in_turns(contestants, CONNECTIONS, bench.turn_seconds, ROUNDS, bench.scratch)
    yield at_least(f"requests/s, {_OURS} to {_EMPTY}", *_faster(rounds, _OURS, _EMPTY), 1.0)
    tails = f"{duration(rounds.p99(_OURS))} and {duration(rounds.p99(_EMPTY))}"
    yield at_most(f"p99, {_OURS} to {_EMPTY}", rounds.slower_tail(_OURS, _EMPTY), tails, 2.0)
    yield at_least(f"requests/s, {_OURS} to {_MLFLOW}", *_faster(rounds, _OURS, _MLFLOW), 50.0)
    what = f"requests/s, {_OURS} to {_MLSERVER}"
    if skipped is None:
        yield at_least(what, *_faster(rounds, _OURS, _MLSERVER), 50.0)
    else:
        yield Bar(what, "skipped", skipped)
    yield beside(f"requests/s, {_OURS} to {_ECHO}", *_faster(rounds, _OURS, _ECHO))


def many_records(bench: Bench) -> Iterator[Bar]:
    """A compiled linear model and the shipped one, 100 records per request."""
    records = bench.records(BATCH)
    shipped = bench.deployment("batch", upload_interval_seconds=UPLOAD_SECONDS)
    linear = bench.deployment(
        "batch-linear", bundle_of(COMPILED, bench.cache), upload_interval_seconds=UPLOAD_SECONDS
    )
    with ExitStack() as stack:
        empty, _ = _floors(bench, stack, records)
        contestants = [
            bench.contestant(_LINEAR, linear, stack.enter_context(linear.start()).port, records),
            bench.contestant(_OURS, shipped, stack.enter_context(shipped.start()).port, records),
            empty,
        ]
        say(f"{ROUNDS} rounds of {len(contestants)} servers, {BATCH} records per request")
        rounds = in_turns(contestants, CONNECTIONS, bench.turn_seconds, ROUNDS, bench.scratch)
    faster = _faster(rounds, _LINEAR, _EMPTY, BATCH)
    yield at_least(f"records/s, {_LINEAR} to {_EMPTY}", *faster, 2.0)
    faster = _faster(rounds, _OURS, _EMPTY, BATCH)
    yield beside(f"records/s, {_OURS}, shipped model to {_EMPTY}", *faster)


def _floors(bench: Bench, stack: ExitStack, records: Records) -> list[Contestant]:
    body = as_array(records)
    empty = stack.enter_context(peers.empty_endpoint(bench.bundle, bench.scratch))
    echo = stack.enter_context(peers.bare_echo(bench.scratch))
    return [
        Contestant(name, server.port, "/predict", body, _JSON)
        for name, server in ((_EMPTY, empty), (_ECHO, echo))
    ]


def _faster(rounds: Rounds, name: str, other: str, records: int = 1) -> tuple[float, str]:
    """How many times as fast, and both speeds in words."""
    said = f"{rounds.speed(name) * records:,.0f} and {rounds.speed(other) * records:,.0f} /s"
    return rounds.faster(name, other), said
