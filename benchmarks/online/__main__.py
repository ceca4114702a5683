"""Everything that is claimed of the online API's speed and survival, in one run.

    python -m benchmarks.online [SECTION ...] [--seconds N] [--bundle DIRECTORY]

Sections: throughput, batch, uncompiled, overload, kill, outage, rolling; all of them by default, in
about ten minutes. Prints a table per section on stdout, progress on stderr. Exits with 1 when a
bar is missed, with 2 when something cannot be measured.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.measure import versions
from benchmarks.online import overload, rolling, survival, throughput, uncompiled
from benchmarks.online.bench import TURN_SECONDS, Bench, say
from benchmarks.online.ours import require_bundle
from benchmarks.online.peers import PINS
from benchmarks.online.report import HEADER, Bar, missed
from benchmarks.online.servers import BenchError
from benchmarks.online.wrk import require_wrk

BUNDLE: Final = Path("var/demo/bundles/employee_attrition")
CACHE: Final = Path("var/bench")
PACKAGES: Final = ("fastapi", "uvicorn", "mlflow")

EXIT_MISSED: Final = 1
EXIT_NOT_MEASURED: Final = 2

SECTIONS: Final[Mapping[str, tuple[str, Callable[[Bench], Iterator[Bar]]]]] = {
    "throughput": ("One record per request, 8 connections", throughput.one_record),
    "batch": ("100 records per request, 8 connections", throughput.many_records),
    "uncompiled": ("A model that is not compiled, 32 connections", uncompiled.run),
    "overload": ("Ten times the capacity", overload.run),
    "kill": ("SIGKILL under load", survival.killed),
    "outage": ("A storage outage under load", survival.outage),
    "rolling": ("A rolling restart under load", rolling.run),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    options = _options(argv)
    try:
        require_bundle(options.bundle)
        print(f"{_versions()}\n", flush=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=CACHE, prefix="run-") as scratch:
            cache = CACHE.absolute()
            bench = Bench(options.bundle, cache, Path(scratch).absolute(), options.seconds)
            count = sum(_print_section(name, bench) for name in options.sections or SECTIONS)
    except BenchError as error:
        print(f"benchmarks.online: {error}", file=sys.stderr)
        return EXIT_NOT_MEASURED
    print(f"{count} bars missed" if count else "every bar is met")
    return EXIT_MISSED if count else 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    summary = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="benchmarks.online", description=summary)
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"Of {', '.join(SECTIONS)}; default: all."
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=TURN_SECONDS,
        help="Length of a turn under load; other durations are scaled with it.",
    )
    parser.add_argument("--bundle", type=Path, default=BUNDLE, help="Bundle of the shipped model.")
    options = parser.parse_args(argv)
    for name in options.sections:
        if name not in SECTIONS:
            parser.error(f"there is no section {name}")
    return options


def _print_section(name: str, bench: Bench) -> int:
    """Carry out one section and print its table; how many bars were missed."""
    title, run = SECTIONS[name]
    say(f"== {name}")
    bars = list(run(bench))
    print(f"**{name}**: {title}\n\n{HEADER}", *(bar.row for bar in bars), "", sep="\n", flush=True)
    return missed(bars)


def _versions() -> str:
    pinned = next(
        line.split()[0]
        for line in PINS.read_text("ascii").splitlines()
        if line[:10] == "mlserver=="
    )
    return f"{versions(PACKAGES)}, {pinned.replace('==', ' ')}, {require_wrk()}"


if __name__ == "__main__":
    raise SystemExit(main())
