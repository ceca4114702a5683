"""What was answered stands in the log: after SIGKILL under load, and after a storage outage."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.online.bench import Bench
from benchmarks.online.logged import identifiers, look_up
from benchmarks.online.ours import Deployment
from benchmarks.online.plan import Generator, Phase
from benchmarks.online.report import Bar, counted, duration, none_of
from benchmarks.online.servers import BenchError
from benchmarks.sections import say

KILLS: Final = 10
KILL_CONNECTIONS: Final = 8
SEED: Final = 7

OUTAGE_SECONDS: Final = 60.0
OUTAGE_RATE: Final = 500.0
OUTAGE_CONNECTIONS: Final = 256
UPLOADED_SECONDS: Final = 90.0
"""The uploader tries again at growing intervals, the longest of a minute."""


def killed(bench: Bench) -> Iterator[Bar]:
    """Ten servers on one spool, each killed at some moment of its load: every other time with all
    its processes, as the end of a pod is; else alone.
    """
    deployment = bench.deployment("kill")
    moments = random.Random(SEED)  # noqa: S311
    answered: list[str] = []
    for attempt in range(KILLS):
        seconds = bench.seconds(moments.uniform(0.5, 2.0))
        prefix = f"kill-{attempt}-"
        say(f"kill {attempt + 1} of {KILLS}, {seconds:.1f} s into the load")
        with deployment.start() as server:
            plan = bench.plan(
                deployment, [server.port], [Phase(seconds + 1.0)], KILL_CONNECTIONS, prefix
            )
            with Generator(plan) as generator:
                time.sleep(1.0 + seconds)
                server.kill(everything=attempt % 2 == 0)
                (report,) = generator.reports()
        answered += identifiers(prefix, report.accepted)
    say("starting once more, to upload what is left")
    with deployment.start() as server:
        if not deployment.wait_until_uploaded(UPLOADED_SECONDS):
            raise BenchError("the spool was not uploaded after the kills")
        server.stop()
    found = look_up(deployment.storage, answered)
    said = f"{found.answered:,} answered, {found.found:,} found, {found.repeated:,} repeated"
    yield none_of(f"answered before {KILLS} SIGKILLs and not in the log", found.missing, said)


def outage(bench: Bench) -> Iterator[Bar]:
    """A storage that refuses every write for a minute, under load."""
    deployment = bench.deployment("outage")
    lasts = bench.seconds(OUTAGE_SECONDS)
    calm = bench.seconds(4.0)
    with deployment.start() as server:
        phases = [Phase(calm + lasts + calm, OUTAGE_RATE)]
        plan = bench.plan(deployment, [server.port], phases, OUTAGE_CONNECTIONS, "outage-")
        with Generator(plan) as generator:
            time.sleep(calm)
            with _storage_gone(deployment.storage):
                say(f"the storage is gone for {lasts:.0f} s")
                time.sleep(lasts)
                spooled = deployment.spooled_bytes()
            say("the storage is back")
            back = time.monotonic()
            (report,) = generator.reports()
        if not deployment.wait_until_uploaded(UPLOADED_SECONDS):
            raise BenchError("the spool was not uploaded after the outage")
        uploaded = time.monotonic() - back
        counters = _settled_counters(deployment, server.port)
        server.stop()
    found = look_up(deployment.storage, identifiers("outage-", report.accepted))
    failed = report.not_accepted
    said = f"accepted {len(report.accepted):,}; {counted(failed)}".removesuffix("; ")
    yield none_of("failed requests in a storage outage", sum(failed.values()), said)
    yield none_of("entries lost", found.missing, f"of {found.answered:,} answered")
    yield none_of("entries dropped, by the counter", counters.get("dropped", 0), counted(counters))
    yield Bar(
        f"spool at the end of {lasts:.0f} s without storage",
        f"{spooled / 1e6:.1f} MB, uploaded {duration(uploaded)} after",
    )


@contextmanager
def _storage_gone(storage: Path) -> Iterator[None]:
    """A file where the directory was: nothing can be written below it, by root either."""
    away = storage.with_name("storage-away")
    storage.mkdir(parents=True, exist_ok=True)
    storage.rename(away)
    storage.touch()
    try:
        yield
    finally:
        storage.unlink()
        away.rename(storage)


def _settled_counters(deployment: Deployment, port: int) -> dict[str, int]:
    """Once the last upload is counted, which may be a moment after its segment is gone."""
    for _ in range(50):
        counters = deployment.counters(port)
        if counters.get("written") == counters.get("accepted"):
            break
        time.sleep(0.1)
    return counters
