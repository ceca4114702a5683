"""Ten times the capacity, offered whatever the answers: what is shed, who still gets an answer in
time, and how soon all is normal again.

Capacity is what 64 connections get in a closed loop. Normal is half of it, offered in an open loop
before the overload by the same generator. A request that finds every connection waiting for an
answer is offered and not sent; the generator and the server share the machine.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.online.bench import Bench
from benchmarks.online.figures import percentile, seconds_to_recover
from benchmarks.online.models import UNCOMPILED, bundle_of
from benchmarks.online.plan import Phase, PhaseReport, offer
from benchmarks.online.report import Bar, at_most, beside, counted, duration, none_of, within
from benchmarks.online.servers import resident_bytes
from benchmarks.online.wrk import run_wrk
from benchmarks.sections import say

TIMES: Final = 10
CLOSED_CONNECTIONS: Final = 64
OPEN_CONNECTIONS: Final = 1024
NORMAL_SHARE: Final = 0.5
TAIL_FACTOR: Final = 5.0
RECOVERY_SECONDS: Final = 2.0
NORMAL_AGAIN: Final = 1.5
"""Recovered is a p99 within so many times the normal one."""

FLAT: Final = 1.1

_EXPECTED: Final = ("429", "503", "not sent")


def run(bench: Bench) -> Iterator[Bar]:
    """The model that is not compiled, then the shipped one."""
    yield from _overloaded(bench, "not compiled", bundle_of(UNCOMPILED, bench.cache))
    yield from _overloaded(bench, "shipped model", bench.bundle)


def _overloaded(bench: Bench, name: str, bundle: Path) -> Iterator[Bar]:
    deployment = bench.deployment(f"overload-{name.split()[0]}", bundle)
    with deployment.start() as server:
        contestant = bench.contestant(name, deployment, server.port, bench.records(1))
        say(f"capacity of the model: {name}")
        run_wrk(contestant, CLOSED_CONNECTIONS, 1.0, bench.scratch)
        load = run_wrk(contestant, CLOSED_CONNECTIONS, bench.turn_seconds, bench.scratch)
        capacity = load.requests_per_second
        contestant.settle()
        normal = Phase(bench.seconds(6.0), capacity * NORMAL_SHARE)
        over = Phase(bench.seconds(30.0), capacity * TIMES)
        say(f"{TIMES} x {capacity:,.0f} requests/s for {over.seconds:.0f} s")
        plan = bench.plan(deployment, [server.port], [normal, over, normal], OPEN_CONNECTIONS)
        # Connections and threads that the normal load needs are there before memory is compared.
        offer(msgspec.structs.replace(plan, phases=[normal]))
        before = resident_bytes(server.pid)
        reports = offer(plan)
        after = resident_bytes(server.pid)
    quiet, loud, again = reports
    yield from _bars(name, capacity, quiet, loud, again)
    said = f"{before / 1e6:,.0f} and {after / 1e6:,.0f} MB"
    yield at_most(f"{name}: memory after the overload to before", after / before, said, FLAT)


def _bars(
    name: str, capacity: float, quiet: PhaseReport, loud: PhaseReport, again: PhaseReport
) -> Iterator[Bar]:
    seconds = loud.ended_at - loud.began_at
    offered = (loud.sent + loud.unsent) / seconds
    unsent = f"{loud.unsent:,} found all {OPEN_CONNECTIONS:,} connections waiting"
    yield beside(
        f"{name}: offered to capacity",
        offered / capacity,
        f"{offered:,.0f} and {capacity:,.0f} /s; {unsent}",
    )
    yield beside(f"{name}: sent to capacity", loud.sent / seconds / capacity)
    yield Bar(
        f"{name}: shed with 429 or 503", f"{loud.shed / max(1, loud.sent):.0%} of {loud.sent:,}"
    )
    yield none_of(f"{name}: shed without Retry-After", loud.without_retry_after)
    others = {k: n for k, n in loud.not_accepted.items() if k not in _EXPECTED}
    yield none_of(f"{name}: otherwise not answered", sum(others.values()), counted(others))
    usual, hard = percentile(quiet.times, 0.99), percentile(loud.times, 0.99)
    said = f"{duration(hard)} and {duration(usual)}, {len(loud.times):,} accepted"
    yield at_most(f"{name}: p99 of accepted to normal", hard / usual, said, TAIL_FACTOR)
    recovered = seconds_to_recover(
        again.samples, again.began_at, again.last_refused_at, usual * NORMAL_AGAIN
    )
    yield within(f"{name}: back to normal p99", recovered, RECOVERY_SECONDS)
