"""A large backlog: the worker takes it in pieces, and its memory does not grow with it."""

import time
from collections.abc import Iterator
from typing import Final

from benchmarks.online.report import Bar
from benchmarks.online.servers import BenchError
from benchmarks.sections import say
from benchmarks.stream.bench import Bench
from benchmarks.stream.lane import Worker, require_stopped
from benchmarks.stream.publishing import publish
from benchmarks.stream.sites import kafka_site
from benchmarks.stream.survival import PUBLISH_SECONDS, verdict

EVENTS: Final = 1_000_000
PEAK_BYTES: Final = 400_000_000
WORK_SECONDS: Final = 1_200.0

RECORDS: Final = "trilane_records_total"


def run(bench: Bench) -> Iterator[Bar]:
    """Everything is published before the worker starts."""
    with kafka_site(bench, "backlog") as site:
        events = site.events(bench.event_count(EVENTS))
        say(f"publishing {events.count:,} events")
        report = publish(site.publishing(events), PUBLISH_SECONDS)
        with site.lane().start() as worker:
            began = time.monotonic()
            wait_until_counted(worker, events.count, WORK_SECONDS)
            seconds, peak = time.monotonic() - began, worker.peak_bytes()
            account = site.account(events)
            repeated = site.settle(account, lambda: require_stopped(worker))
    yield Bar(
        f"worker's peak memory (VmHWM) with {report.published:,} events waiting",
        f"{peak / 1e6:.0f} MB",
        f"below {PEAK_BYTES / 1e6:.0f} MB",
        peak < PEAK_BYTES,
    )
    yield Bar(
        "until all were committed", f"{seconds:.0f} s, {events.count / seconds:,.0f} events/s"
    )
    yield from verdict(account, repeated)


def wait_until_counted(worker: Worker, count: int, seconds: float) -> None:
    """Until the worker has committed so many events. Raises BenchError when it has not in time."""
    deadline = time.monotonic() + seconds
    said = time.monotonic()
    while (done := worker.metric(RECORDS)) < count:
        if worker.exit_code is not None:
            raise BenchError(f"the worker ended: {worker.last_words()}")
        if time.monotonic() > deadline:
            raise BenchError(f"{done:,.0f} of {count:,} events in {seconds:.0f} s")
        if time.monotonic() > said + 10:
            said = time.monotonic()
            say(f"{done:,.0f} of {count:,} events, peak {worker.peak_bytes() / 1e6:.0f} MB")
        time.sleep(0.25)
