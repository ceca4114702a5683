"""Poison: a little of it goes to dead letters, too much of it stops the worker."""

import subprocess
import time
from collections.abc import Iterator
from typing import Final

import msgspec

from benchmarks.online.report import Bar, counted
from benchmarks.sections import say
from benchmarks.stream.backlog import wait_until_counted
from benchmarks.stream.bench import Bench
from benchmarks.stream.events import KINDS
from benchmarks.stream.lane import Worker, require_stopped
from benchmarks.stream.publishing import publish
from benchmarks.stream.sites import kafka_site
from benchmarks.stream.survival import PUBLISH_SECONDS, verdict

EVENTS: Final = 100_000
LITTLE: Final = 0.01
MUCH: Final = 0.6
MUCH_EVENTS: Final = 20_000
STOPS_SECONDS: Final = 120.0
WINDOW: Final = 1_000
"""The worker stops when more than half of the last so many events were rejected."""


def run(bench: Bench) -> Iterator[Bar]:
    """1 %, then 60 %."""
    yield from _little(bench)
    yield from _much(bench)


def _little(bench: Bench) -> Iterator[Bar]:
    with kafka_site(bench, "poison") as site:
        events = site.events(bench.event_count(EVENTS), LITTLE)
        account = site.account(events)
        say(f"{events.count:,} events, {len(events.poison()):,} of them poison")
        publish(site.publishing(events), PUBLISH_SECONDS)
        with site.lane().start() as worker:
            began = time.monotonic()
            repeated = site.settle(account, lambda: require_stopped(worker))
            seconds = time.monotonic() - began
    yield Bar(
        f"{LITTLE:.0%} poison of {len(KINDS)} kinds", f"{events.count:,} events, {seconds:.0f} s"
    )
    yield Bar("dead letters by code", counted(account.codes))
    yield from verdict(account, repeated)


def _much(bench: Bench) -> Iterator[Bar]:
    with kafka_site(bench, "much-poison") as site:
        count = min(MUCH_EVENTS, max(4 * WINDOW, bench.event_count(MUCH_EVENTS)))
        good = 2 * WINDOW
        events = site.events(count, MUCH, good)
        account = site.account(events)
        plan = site.publishing(events)
        say(f"{good:,} good events, then {count - good:,} of which {MUCH:.0%} are poison")
        with site.lane().start() as worker:
            publish(msgspec.structs.replace(plan, end=good), PUBLISH_SECONDS)
            wait_until_counted(worker, good, STOPS_SECONDS)
            publish(msgspec.structs.replace(plan, first=good), PUBLISH_SECONDS)
            code = _wait(worker)
            said = worker.last_words()
        site.follower(account, site.hubs, lambda: None, 5.0)
    yield Bar(
        f"exit code when {MUCH:.0%} of the events are poison after {good:,} good ones",
        "still running" if code is None else str(code),
        "1",
        code == 1,
    )
    why = next((line for line in said.split(" / ") if "rejected" in line), "")
    yield Bar("what it said", why or said, "says what was rejected, and the setting",
        "--max-rejected" in why)  # fmt: skip
    yield Bar(
        "dead letters by then",
        f"{account.dead_letters:,} of {len(events.poison()):,} poisonous events",
        f"at most {WINDOW // 2:,}",
        account.dead_letters <= WINDOW // 2,
    )


def _wait(worker: Worker) -> int | None:
    try:
        return worker.wait(STOPS_SECONDS)
    except subprocess.TimeoutExpired:
        return None
