"""Everything that is claimed of the stream worker's speed and survival, in one run.

    python -m benchmarks.stream [SECTION ...] [--broker kafka|tansu] [--events N] [--kills N]
        [--seconds N] [--rounds N] [--seed N] [--bundle DIRECTORY] [--keep]

All sections by default. Prints a table per section on stdout, progress on stderr. Exits with 1 when
a bar is missed, with 2 when something cannot be measured.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.measure import versions
from benchmarks.sections import Sections, measure, scratch, section_parser
from benchmarks.stream import (
    backlog,
    check,
    latency,
    outage,
    poison,
    rebalance,
    survival,
    throughput,
)
from benchmarks.stream.bench import Bench, hush
from benchmarks.stream.brokers import KINDS, version

PACKAGES: Final = ("aiokafka", "faststream", "azure-eventhub", "mlflow")

SECTIONS: Final[Sections[Bench]] = {
    "check": ("Whether the books would show it", check.run),
    "survival": ("SIGKILL of workers and brokers under load", survival.over_kafka),
    "survival-amqp": ("The same over AMQP, with blobs", survival.over_amqp),
    "rebalance": ("A second worker comes and goes under load", rebalance.run),
    "poison": ("Poisonous events", poison.run),
    "outage": ("Storage and hub refuse under load", outage.run),
    "throughput": ("Events per second, beside others", throughput.run),
    "backlog": ("Memory with a backlog", backlog.run),
    "latency": ("From publishing to the score", latency.run),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = section_parser("benchmarks.stream", __doc__.splitlines()[0], SECTIONS)
    parser.add_argument("--broker", choices=KINDS, default=KINDS[0], help="Kafka-protocol broker.")
    parser.add_argument("--events", type=int, help="Events of a section; default: its own number.")
    parser.add_argument("--kills", type=int, help="Kills, or comings and goings, of a section.")
    parser.add_argument("--seconds", type=float, help="Length of an outage, or of the latency run.")
    parser.add_argument("--rounds", type=int, help="Rounds of the throughput section.")
    parser.add_argument("--seed", type=int, default=7, help="Of random moments and poison.")
    parser.add_argument("--keep", action="store_true", help="Keep logs and data of the run.")
    options = parser.parse_args(argv)
    hush()

    @contextmanager
    def opened() -> Iterator[Bench]:
        with scratch(options.keep) as path:
            yield _bench(options, path)

    def said() -> str:
        return f"{versions(PACKAGES)}, {version(options.broker)}"

    return measure(options, parser.prog, said, SECTIONS, opened)


def _bench(options: argparse.Namespace, scratch: Path) -> Bench:
    return Bench(
        options.bundle.absolute(),
        scratch,
        options.broker,
        options.seed,
        options.events,
        options.kills,
        options.seconds,
        options.rounds,
    )


if __name__ == "__main__":
    raise SystemExit(main())
