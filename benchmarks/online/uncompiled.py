"""A model that is not compiled, on 32 connections: what sharing calls gains."""

import statistics
import time
from collections.abc import Iterator
from typing import Final

from benchmarks.online.bench import ROUNDS, Bench
from benchmarks.online.models import UNCOMPILED, bundle_of
from benchmarks.online.report import Bar, at_least, duration, within
from benchmarks.online.wrk import first_answer, in_turns
from benchmarks.sections import say
from online_api.context import DEFAULT_LIMITS

CONNECTIONS: Final = 32
CALLS: Final = 5

_SHARED, _ALONE = "trilane, shared calls", "trilane, a call per request"


def run(bench: Bench) -> Iterator[Bar]:
    """With micro-batching and without."""
    bundle = bundle_of(UNCOMPILED, bench.cache)
    shared = bench.deployment("shared", bundle)
    alone = bench.deployment("alone", bundle, micro_batch_records=1)
    records = bench.records(1)
    with shared.start() as one, alone.start() as other:
        contestants = [
            bench.contestant(_SHARED, shared, one.port, records),
            bench.contestant(_ALONE, alone, other.port, records),
        ]
        say(f"{ROUNDS} rounds of {len(contestants)} servers, a model that is not compiled")
        rounds = in_turns(contestants, CONNECTIONS, bench.turn_seconds, ROUNDS, bench.scratch)
        full = bench.records(DEFAULT_LIMITS.micro_batch_records)
        times: list[float] = []
        for _ in range(CALLS):
            started = time.perf_counter()
            first_answer(bench.contestant(_SHARED, shared, one.port, full))
            times.append(time.perf_counter() - started)
    yield at_least(
        "requests/s, shared calls to a call per request",
        rounds.faster(_SHARED, _ALONE),
        f"{rounds.speed(_SHARED):,.0f} and {rounds.speed(_ALONE):,.0f} /s",
        8.0,
    )
    call = statistics.median(times)
    bound = DEFAULT_LIMITS.max_wait_seconds + call
    said = f"a full call takes {duration(call)}"
    yield within("p99 with shared calls", rounds.p99(_SHARED), bound, said)
