"""A second worker comes and goes under load: nothing is lost, and the order per key is kept."""

import random
import time
from collections.abc import Iterator
from typing import Final

from benchmarks.online.report import Bar, none_of
from benchmarks.sections import say
from benchmarks.stream.bench import Bench
from benchmarks.stream.lane import Lane, require_stopped
from benchmarks.stream.publishing import Publisher
from benchmarks.stream.sites import kafka_site
from benchmarks.stream.survival import PUBLISH_SECONDS, verdict

EVENTS: Final = 60_000
COMINGS: Final = 10
SECONDS_PER_COMING: Final = 6.0


def run(bench: Bench) -> Iterator[Bar]:
    """One stays; the other is stopped with SIGTERM, and with SIGKILL every third time."""
    count, comings = bench.event_count(EVENTS), bench.kill_count(COMINGS)
    moments = random.Random(bench.seed)  # noqa: S311
    with kafka_site(bench, "rebalance") as site:
        events = site.events(count)
        account = site.account(events)
        plan = site.publishing(events, count / (SECONDS_PER_COMING * max(1, comings)))
        lane = site.lane()
        codes: list[int] = []
        began = time.monotonic()
        with lane.start("resident") as resident, Publisher(plan) as publisher:
            for number in range(1, comings + 1):
                codes += _come_and_go(lane, number, moments)
            under_load = publisher.running
            report = publisher.report(PUBLISH_SECONDS)
            repeated = site.settle(account, lambda: require_stopped(resident))
        seconds = time.monotonic() - began
    yield Bar(
        "published, while a second worker came and went",
        f"{report.published:,} events, {comings} times, {comings // 3} of them SIGKILL, "
        f"load to the last one: {'yes' if under_load else 'no'}, "
        f"seed {bench.seed}, {seconds:.0f} s",
    )
    yield none_of("workers that did not end with 0 on SIGTERM", sum(map(bool, codes)))
    yield from verdict(account, repeated)


def _come_and_go(lane: Lane, number: int, moments: random.Random) -> list[int]:
    """Exit codes of those that were asked to stop."""
    with lane.start(f"visitor-{number}") as visitor:
        time.sleep(moments.uniform(0.3, 2.5))
        if number % 3 == 0:
            say(f"{number}: the visitor is killed")
            visitor.kill()
            return []
        say(f"{number}: the visitor is stopped")
        return [visitor.stop()]
