"""Events per second through the worker, beside others on the same broker with the same batches.

The time is from the first to the last result in the hub, by the timestamps of the messages.
"""

import asyncio
import dataclasses
from collections.abc import Iterator
from typing import Final

from benchmarks.online.figures import median_ratio
from benchmarks.online.report import Bar, at_least, beside
from benchmarks.online.servers import BenchError
from benchmarks.sections import say
from benchmarks.stream.backlog import WORK_SECONDS, wait_until_counted
from benchmarks.stream.bench import PARTITIONS, Bench
from benchmarks.stream.contestants import Contest, compete
from benchmarks.stream.lane import MAX_RECORDS, Hubs, require_stopped
from benchmarks.stream.publishing import publish
from benchmarks.stream.sites import Site, kafka_site
from benchmarks.stream.survival import PUBLISH_SECONDS

EVENTS: Final = 100_000
PYFUNC_EVENTS: Final = 500
ROUNDS: Final = 3
PASS_RATIO: Final = 0.5
PYFUNC_RATIO: Final = 100.0

OURS: Final = "trilane"
PASSED: Final = "FastStream pass-through"
DECODED: Final = "FastStream pass-through, decoding as it does by default"
PYFUNC: Final = "FastStream, pyfunc per message"
FLOOR: Final = "aiokafka, consume only"

_STAGE_SECONDS: Final = "trilane_stage_seconds_total"


def run(bench: Bench) -> Iterator[Bar]:
    """Contestants take turns on the same events; each ratio is the median of the rounds' ratios."""
    rounds = bench.rounds or ROUNDS
    with kafka_site(bench, "throughput") as site:
        events = site.events(bench.event_count(EVENTS))
        say(f"publishing {events.count:,} events")
        publish(site.publishing(events), PUBLISH_SECONDS)
        contest = _Contest(site, events.count)
        speeds: dict[str, list[float]] = {
            name: [] for name in (OURS, PASSED, DECODED, PYFUNC, FLOOR)
        }
        for number in range(1, rounds + 1):
            say(f"round {number} of {rounds}")
            speeds[FLOOR].append(contest.floor(number))
            speeds[PASSED].append(contest.other("pass", number, events.count))
            speeds[DECODED].append(contest.other("decode", number, events.count))
            speeds[OURS].append(contest.ours(number))
            few = min(events.count, PYFUNC_EVENTS)
            speeds[PYFUNC].append(contest.other("pyfunc", number, few))
    ours = speeds[OURS]
    said = f"batches of {MAX_RECORDS}, {events.count:,} events, {rounds} rounds"
    yield Bar("events/s, trilane", f"{_middle(ours):,.0f} ({said})")
    for name, bound in (
        (PASSED, PASS_RATIO),
        (DECODED, None),
        (PYFUNC, PYFUNC_RATIO),
        (FLOOR, None),
    ):
        ratio, other = median_ratio(ours, speeds[name]), f"{_middle(speeds[name]):,.0f} /s"
        what = f"events/s, trilane to {name}"
        yield beside(what, ratio, other) if bound is None else at_least(what, ratio, other, bound)
    whole = sum(contest.stages.values())
    for stage, seconds in sorted(contest.stages.items(), key=lambda item: -item[1]):
        each = seconds / events.count * 1e6
        yield Bar(
            f"stage {stage}", f"{seconds / whole:.0%} of all stages ({each:.1f} µs per event)"
        )


class _Contest:
    """The turns; each reads from the beginning as a group of its own, into a hub of its own."""

    def __init__(self, site: Site, count: int) -> None:
        self.stages: dict[str, float] = {}
        """Seconds of each stage of the worker in its last turn."""
        self._site = site
        self._count = count

    def floor(self, number: int) -> float:
        """Events per second."""
        said = compete(self._plan("consume", number, self._count), WORK_SECONDS)
        return self._count / float(said)

    def other(self, kind: str, number: int, count: int) -> float:
        """Results per second."""
        plan = self._plan(kind, number, count)
        self._create(plan.results_hub)
        compete(plan, WORK_SECONDS)
        return self._speed(plan.results_hub, count)

    def ours(self, number: int) -> float:
        """Scores per second."""
        name = f"ours-{number}"
        hubs = Hubs(self._site.hubs.events, f"{name}-scores", f"{name}-dead")
        self._create(hubs.scores, hubs.dead_letters)
        directory = self._site.bench.directory(f"throughput/{name}")
        site = dataclasses.replace(self._site, hubs=hubs, storage_url=str(directory / "storage"))
        lane = dataclasses.replace(site.lane(), group=name)
        with lane.start(name) as worker:
            wait_until_counted(worker, self._count, WORK_SECONDS)
            self.stages = dict(worker.metric_by(_STAGE_SECONDS, "stage"))
            require_stopped(worker)
        return self._speed(hubs.scores, self._count)

    def _plan(self, kind: str, number: int, count: int) -> Contest:
        return Contest(
            kind,  # type: ignore[arg-type]
            self._site.address,
            self._site.hubs.events,
            f"{kind}-{number}-results",
            f"{kind}-{number}",
            count,
            MAX_RECORDS,
            str(self._site.bench.bundle / "model"),
        )

    def _create(self, *hubs: str) -> None:
        if self._site.create is not None:
            self._site.create(hubs, PARTITIONS)

    def _speed(self, hub: str, count: int) -> float:
        found, seconds = asyncio.run(_span(self._site.address, hub, count))
        if found < count:
            raise BenchError(f"{hub} has {found:,} of {count:,} results")
        return found / max(seconds, 0.001)


async def _span(bootstrap: str, hub: str, count: int) -> tuple[int, float]:
    """How many messages a hub holds, and the seconds from its first to its last."""
    from aiokafka import AIOKafkaConsumer

    consumer = AIOKafkaConsumer(
        hub, bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest"
    )
    await consumer.start()
    times: list[int] = []
    try:
        while batches := await consumer.getmany(timeout_ms=2_000 if len(times) < count else 200):
            times += [record.timestamp for records in batches.values() for record in records]
    finally:
        await consumer.stop()
    return len(times), (max(times) - min(times)) / 1000 if times else 0.0


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
