"""What every section is given: where things lie, how long things take, and how to say so."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.online.bodies import Records, as_array, known_records
from benchmarks.online.ours import Deployment
from benchmarks.online.plan import Phase, Plan
from benchmarks.online.wrk import Contestant

TURN_SECONDS: Final = 4.0
ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Bench:
    """One run: the shipped model's bundle, a directory that is kept (`cache`), one that is not
    (`scratch`), and the length of a turn that was asked for, in whose measure every other time is.
    """

    bundle: Path
    cache: Path
    scratch: Path
    turn_seconds: float = TURN_SECONDS

    def seconds(self, usual: float) -> float:
        """A duration that is `usual` when turns have their usual length."""
        return usual * self.turn_seconds / TURN_SECONDS

    def deployment(self, name: str, bundle: Path | None = None, **flags: object) -> Deployment:
        """Our server with the shipped model or another, on directories of its own."""
        named = {flag.replace("_", "-"): value for flag, value in flags.items()}
        return Deployment(bundle or self.bundle, self.scratch / name, named)

    def records(self, count: int) -> Records:
        """The same for every server."""
        return known_records(self.bundle, count)

    def contestant(
        self, name: str, deployment: Deployment, port: int, records: Records
    ) -> Contestant:
        """Our server in a comparison; its turn ends when its entries are uploaded, lest that cost
        the next one time.
        """
        return Contestant(
            name,
            port,
            "/predict",
            as_array(records),
            deployment.headers,
            lambda: deployment.wait_until_uploaded(30.0),
        )

    def plan(
        self,
        deployment: Deployment,
        ports: list[int],
        phases: list[Phase],
        connections: int,
        prefix: str = "bench-",
    ) -> Plan:
        """Requests with one record each to servers of a deployment."""
        body = as_array(self.records(1))
        return Plan(ports, "/predict", deployment.headers, body, phases, connections, prefix)


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(text, file=sys.stderr, flush=True)
