"""SIGKILL of workers and brokers, again and again under load: nothing is lost or out of order."""

import random
import time
from collections.abc import Iterator
from typing import Final

from benchmarks.online.report import Bar, counted, none_of
from benchmarks.sections import say
from benchmarks.stream.accounts import Account
from benchmarks.stream.bench import Bench
from benchmarks.stream.publishing import Publisher
from benchmarks.stream.sites import Restartable, Site, amqp_site, kafka_site
from benchmarks.stream.supervisor import Supervisor

EVENTS: Final = 200_000
AMQP_EVENTS: Final = 20_000
KILLS: Final = 20
BROKER_RESTARTS: Final = 2

SECONDS_PER_KILL: Final = 5.0
"""The publisher's rate is made for it: from kill to kill a worker starts, joins and works."""
PUBLISH_SECONDS: Final = 1_200.0


def over_kafka(bench: Bench) -> Iterator[Bar]:
    """The worker on a Kafka-protocol broker."""
    with kafka_site(bench, "survival") as site:
        yield from _survive(bench, site, bench.event_count(EVENTS))


def over_amqp(bench: Bench) -> Iterator[Bar]:
    """The worker on AMQP, with checkpoints and log in blobs."""
    with amqp_site(bench, "survival-amqp") as site:
        yield from _survive(bench, site, bench.event_count(AMQP_EVENTS))


def schedule(kills: int, restarts: int) -> list[str]:
    """Restarts of the broker spread among kills of the worker."""
    found = ["worker"] * kills
    for at in range(restarts, 0, -1):
        found.insert(at * kills // (restarts + 1), "broker")
    return found


def _survive(bench: Bench, site: Site, count: int) -> Iterator[Bar]:
    kills = bench.kill_count(KILLS)
    restarts = min(BROKER_RESTARTS, kills) if site.broker is not None else 0
    moments = random.Random(bench.seed)  # noqa: S311
    events = site.events(count)
    plan = site.publishing(events, count / (SECONDS_PER_KILL * max(1, kills + restarts)))
    account = site.account(events)
    say(f"{count:,} events, {kills} kills, {restarts} restarts of the broker, seed {bench.seed}")
    began = time.monotonic()
    with Supervisor(site.lane()) as supervisor, Publisher(plan) as publisher:
        busy = 0
        for at, what in enumerate(schedule(kills, restarts)):
            supervisor.wait_until_ready()
            time.sleep(moments.uniform(0.1, 3.0))
            if what == "broker" and site.broker is not None:
                say("the broker is killed")
                _restart(site.broker, moments.uniform(0.2, 2.0))
            else:
                in_hand = supervisor.kill()
                busy += in_hand
                say(f"{at + 1}: the worker is killed, {'with' if in_hand else 'no'} events in hand")
        report = publisher.report(PUBLISH_SECONDS)
        codes: list[int] = []
        repeated = site.settle(account, lambda: codes.append(supervisor.stop()))
    seconds = time.monotonic() - began
    yield Bar(
        "published, and killed",
        f"{report.published:,} events, {kills} worker kills ({busy} with events in hand), "
        f"{restarts} broker kills, seed {bench.seed}, {seconds:.0f} s",
    )
    yield Bar("workers that ended by themselves", counted(_named(supervisor)) or "none")
    yield Bar("exit code of the last worker on SIGTERM", str(codes[0]), "0", codes[0] == 0)
    yield from verdict(account, repeated)


def verdict(account: Account, repeated: int) -> Iterator[Bar]:
    """What was counted, and a row for what must not be."""
    yield Bar(
        "scores and dead letters",
        f"{account.scores_raw:,} scores, {account.scores:,} distinct; "
        f"{account.dead_letters_raw:,} dead letters, {account.dead_letters:,} distinct; "
        f"{account.repeats_dropped:,} repeats dropped by the reader, {repeated:,} in the log",
    )
    faults = account.settled()
    yield none_of(
        "lost, repeated, out of order, or not in the log", sum(faults.values()), counted(faults)
    )


def _restart(broker: Restartable, down_seconds: float) -> None:
    broker.kill()
    time.sleep(down_seconds)
    broker.start()


def _named(supervisor: Supervisor) -> dict[str, int]:
    return {f"exit code {code}": times for code, times in supervisor.exits.items()}
