"""Two servers behind a balancer that believes `/readyz`, each restarted in turn under load."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from benchmarks.online.bench import Bench
from benchmarks.online.logged import identifiers, look_up
from benchmarks.online.plan import Generator, Phase
from benchmarks.online.report import Bar, counted, none_of
from benchmarks.online.servers import BenchError
from benchmarks.sections import say

RATE: Final = 500.0
CONNECTIONS: Final = 128
LOAD_SECONDS: Final = 30.0
"""Not scaled: draining and starting take the time they take."""

CALM_SECONDS: Final = 2.0
UPLOADED_SECONDS: Final = 30.0


def run(bench: Bench) -> Iterator[Bar]:
    """SIGTERM to one, its successor on the same port, then the same with the other."""
    deployment = bench.deployment("rolling")
    with ExitStack() as stack:
        servers = [stack.enter_context(deployment.start()) for _ in range(2)]
        ports = [server.port for server in servers]
        plan = bench.plan(deployment, ports, [Phase(LOAD_SECONDS, RATE)], CONNECTIONS, "rolling-")
        with Generator(plan) as generator:
            time.sleep(CALM_SECONDS)
            codes = []
            for server in servers:
                say("restarting a server")
                codes.append(server.stop())
                stack.enter_context(deployment.start(server.port))
                time.sleep(CALM_SECONDS)
            if not generator.running:
                raise BenchError("the restarts took longer than the load")
            (report,) = generator.reports()
        deployment.wait_until_uploaded(UPLOADED_SECONDS)
    found = look_up(deployment.storage, identifiers("rolling-", report.accepted))
    failed = report.not_accepted
    said = f"accepted {len(report.accepted):,}; {counted(failed)}".removesuffix("; ")
    what = "failed requests while two servers are restarted in turn"
    yield none_of(what, sum(failed.values()), said)
    yield none_of("entries lost", found.missing, f"of {found.answered:,} answered")
    yield none_of("servers that did not end with 0", sum(code != 0 for code in codes))
