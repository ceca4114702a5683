"""A storage that is gone, then a hub that refuses, under load: the worker waits and catches up."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from benchmarks.online.report import Bar, counted, none_of
from benchmarks.online.servers import BenchError
from benchmarks.sections import say
from benchmarks.stream.bench import Bench, storage_gone
from benchmarks.stream.lane import Worker, require_stopped
from benchmarks.stream.publishing import Publisher
from benchmarks.stream.sites import Restartable, Site, kafka_site
from benchmarks.stream.survival import PUBLISH_SECONDS, verdict

SECONDS: Final = 60.0
CALM_SECONDS: Final = 3.0
RATE: Final = 500.0
CATCH_UP_SECONDS: Final = 60.0

_GONE: Final = "broker gone"
"""The Kafka client itself tries again for a minute, and the worker need not."""
_ANY_TIME: Final = str(2**63 - 1)

_IN_HAND: Final = "trilane_in_flight_records"
_RETRIES: Final = "trilane_delivery_retries_total"
_LAG: Final = "trilane_consumer_lag_records"


def run(bench: Bench) -> Iterator[Bar]:
    """First the storage is gone, then the scores hub refuses, then the whole broker is gone."""
    seconds = bench.duration(SECONDS)
    with kafka_site(bench, "outage") as site:
        outages: dict[str, Callable[[], AbstractContextManager[None]]] = {
            "storage gone": lambda: storage_gone(Path(site.storage_url))
        }
        broker = site.broker
        if broker is not None:
            outages["scores hub refusing"] = lambda: _refusing(site)
            outages[_GONE] = lambda: _gone(broker)
        load = CALM_SECONDS + len(outages) * (seconds + CATCH_UP_SECONDS / 4)
        count = bench.event_count(round(RATE * load))
        events = site.events(count)
        account = site.account(events)
        plan = site.publishing(events, count / load)
        with site.lane().start() as worker, Publisher(plan) as publisher:
            time.sleep(CALM_SECONDS)
            for name, outage in outages.items():
                say(f"{name} for {seconds:.0f} s")
                tried_before = round(worker.metric(_RETRIES))
                with outage():
                    seen = _watch(worker, seconds)
                yield from _stayed(f"{name} for {seconds:.0f} s", seen, tried_before)
                yield _caught_up(f"after {name}", worker)
            publisher.report(PUBLISH_SECONDS)
            repeated = site.settle(account, lambda: require_stopped(worker))
    if site.broker is None:
        yield Bar(f"scores hub refusing, {_GONE}", "skipped", "only with --broker kafka")
    yield Bar("published", f"{count:,} events at {plan.rate or 0:,.0f} /s")
    yield none_of("dead letters", account.dead_letters_raw)
    yield from verdict(account, repeated)


def _watch(worker: Worker, seconds: float) -> Counter[str]:
    """How often each probe said what, and whether the worker ended."""
    seen: Counter[str] = Counter()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.5)
        if worker.exit_code is not None:
            raise BenchError(f"the worker ended in the outage: {worker.last_words()}")
        for probe in ("livez", "readyz"):
            seen[f"{probe} {worker.status(f'/{probe}')}"] += 1
    seen["in hand"] = round(worker.metric(_IN_HAND))
    seen["tries"] = round(worker.metric(_RETRIES))
    return seen


def _stayed(name: str, seen: Counter[str], tried_before: int) -> Iterator[Bar]:
    in_hand, tries = seen.pop("in hand"), seen.pop("tries")
    dead = sum(n for what, n in seen.items() if what.startswith("livez") and what != "livez 200")
    yield none_of(f"{name}: looks that found the worker not alive", dead, counted(seen))
    yield Bar(
        f"{name}: felt by the worker",
        f"{in_hand:,} events in hand at its end, {tries:,} tries so far",
        "" if name.startswith(_GONE) else "tried again at least once",
        None if name.startswith(_GONE) else tries > tried_before,
    )


def _caught_up(name: str, worker: Worker) -> Bar:
    """Until the lag is small again."""
    began = time.monotonic()
    while time.monotonic() - began < CATCH_UP_SECONDS:
        if worker.metric(_LAG) < RATE and worker.metric(_IN_HAND) < RATE:
            return Bar(
                f"{name}: lag below a second's events", f"{time.monotonic() - began:.0f} s later"
            )
        time.sleep(0.5)
    waiting = f"{worker.metric(_LAG):,.0f} waiting after {CATCH_UP_SECONDS:.0f} s"
    return Bar(f"{name}: lag below a second's events", waiting, "seen", met=False)


@contextmanager
def _refusing(site: Site) -> Iterator[None]:
    """The scores hub refuses every message for its timestamp: it is in the past.

    `min.insync.replicas` would not do: a broker asks for no more replicas than there can be.
    """
    asyncio.run(_alter(site, "0"))
    try:
        yield
    finally:
        asyncio.run(_alter(site, _ANY_TIME))


@contextmanager
def _gone(broker: Restartable) -> Iterator[None]:
    broker.kill()
    try:
        yield
    finally:
        broker.start()


async def _alter(site: Site, milliseconds: str) -> None:
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    admin = AIOKafkaAdminClient(bootstrap_servers=site.address)
    await admin.start()
    try:
        setting = {"message.timestamp.before.max.ms": milliseconds}
        topic = ConfigResource(ConfigResourceType.TOPIC, site.hubs.scores, setting)
        for answer in await admin.alter_configs([topic]):
            refused = [resource for resource in answer.resources if resource[0]]
            if refused:
                raise BenchError(f"the broker did not change the scores hub: {refused[0][1]}")
    finally:
        await admin.close()
