"""Everything that is claimed of the stream worker's speed and survival, in one run.

    python -m benchmarks.stream [SECTION ...] [--broker kafka|tansu] [--events N] [--kills N]
        [--seconds N] [--rounds N] [--seed N] [--bundle DIRECTORY] [--keep]

All sections by default. Prints a table per section on stdout, progress on stderr. Exits with 1 when
a bar is missed, with 2 when something cannot be measured.
"""

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from benchmarks.measure import versions
from benchmarks.online.ours import require_bundle
from benchmarks.online.report import HEADER, Bar, missed
from benchmarks.online.servers import BenchError
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
from benchmarks.stream.bench import Bench, hush, say
from benchmarks.stream.brokers import KINDS, version

BUNDLE: Final = Path("var/demo/bundles/employee_attrition")
CACHE: Final = Path("var/bench")
PACKAGES: Final = ("aiokafka", "faststream", "azure-eventhub", "mlflow")

EXIT_MISSED: Final = 1
EXIT_NOT_MEASURED: Final = 2

SECTIONS: Final[Mapping[str, tuple[str, Callable[[Bench], Iterator[Bar]]]]] = {
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
    options = _options(argv)
    hush()
    try:
        require_bundle(options.bundle)
        print(f"{versions(PACKAGES)}, {version(options.broker)}\n", flush=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        with _scratch(options.keep) as scratch:
            bench = _bench(options, scratch)
            count = sum(_print_section(name, bench) for name in options.sections or SECTIONS)
    except BenchError as error:
        print(f"benchmarks.stream: {error}", file=sys.stderr)
        return EXIT_NOT_MEASURED
    print(f"{count} bars missed" if count else "every bar is met")
    return EXIT_MISSED if count else 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    summary = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="benchmarks.stream", description=summary)
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"Of {', '.join(SECTIONS)}; default: all."
    )
    parser.add_argument("--broker", choices=KINDS, default=KINDS[0], help="Kafka-protocol broker.")
    parser.add_argument("--events", type=int, help="Events of a section; default: its own number.")
    parser.add_argument("--kills", type=int, help="Kills, or comings and goings, of a section.")
    parser.add_argument("--seconds", type=float, help="Length of an outage, or of the latency run.")
    parser.add_argument("--rounds", type=int, help="Rounds of the throughput section.")
    parser.add_argument("--seed", type=int, default=7, help="Of random moments and poison.")
    parser.add_argument("--bundle", type=Path, default=BUNDLE, help="Bundle of the model.")
    parser.add_argument("--keep", action="store_true", help="Keep logs and data of the run.")
    options = parser.parse_args(argv)
    for name in options.sections:
        if name not in SECTIONS:
            parser.error(f"there is no section {name}")
    return options


@contextmanager
def _scratch(keep: bool) -> Iterator[Path]:
    path = Path(mkdtemp(dir=CACHE, prefix="run-")).absolute()
    try:
        yield path
    finally:
        if keep:
            say(f"what the processes said and wrote is in {path}")
        else:
            shutil.rmtree(path, ignore_errors=True)


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


def _print_section(name: str, bench: Bench) -> int:
    """Carry out one section and print its table; how many bars were missed."""
    title, run = SECTIONS[name]
    say(f"== {name}")
    bars = list(run(bench))
    print(f"**{name}**: {title}\n\n{HEADER}", *(bar.row for bar in bars), "", sep="\n", flush=True)
    return missed(bars)


if __name__ == "__main__":
    raise SystemExit(main())
