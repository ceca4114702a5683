"""Everything that is claimed of the online API's speed and survival, in one run.

    python -m benchmarks.online [SECTION ...] [--seconds N] [--bundle DIRECTORY]

Sections: throughput, batch, uncompiled, overload, kill, outage, rolling; all of them by default, in
about ten minutes. Prints a table per section on stdout, progress on stderr. Exits with 1 when a
bar is missed, with 2 when something cannot be measured.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from benchmarks.measure import versions
from benchmarks.online import overload, rolling, survival, throughput, uncompiled
from benchmarks.online.bench import TURN_SECONDS, Bench
from benchmarks.online.peers import PINS
from benchmarks.online.wrk import require_wrk
from benchmarks.sections import CACHE, Sections, measure, scratch, section_parser

PACKAGES: Final = ("fastapi", "uvicorn", "mlflow")

SECTIONS: Final[Sections[Bench]] = {
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
    parser = section_parser("benchmarks.online", __doc__.splitlines()[0], SECTIONS)
    parser.add_argument(
        "--seconds",
        type=float,
        default=TURN_SECONDS,
        help="Length of a turn under load; other durations are scaled with it.",
    )
    options = parser.parse_args(argv)

    @contextmanager
    def opened() -> Iterator[Bench]:
        with scratch(keep=False) as path:
            yield Bench(options.bundle, CACHE.absolute(), path, options.seconds)

    return measure(options, parser.prog, _versions, SECTIONS, opened)


def _versions() -> str:
    pinned = next(
        line.split()[0]
        for line in PINS.read_text("ascii").splitlines()
        if line[:10] == "mlserver=="
    )
    return f"{versions(PACKAGES)}, {pinned.replace('==', ' ')}, {require_wrk()}"


if __name__ == "__main__":
    raise SystemExit(main())
