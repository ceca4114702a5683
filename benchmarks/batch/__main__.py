"""Everything that is claimed of the batch scorer's speed, memory and survival, in one run.

    python -m benchmarks.batch [SECTION ...] [--rows N] [--few-rows N] [--kills N] [--seed N]
        [--bundle DIRECTORY] [--keep]

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

from benchmarks.batch import interruptions, speed
from benchmarks.batch.bench import Bench, say
from benchmarks.measure import versions
from benchmarks.online.ours import require_bundle
from benchmarks.online.report import HEADER, Bar, missed
from benchmarks.online.servers import BenchError

BUNDLE: Final = Path("var/demo/bundles/employee_attrition")
CACHE: Final = Path("var/bench")
DATA: Final = CACHE / "batch"
PACKAGES: Final = ("pyarrow", "onnxruntime", "mlflow", "pyspark", "pandas", "scikit-learn")

EXIT_MISSED: Final = 1
EXIT_NOT_MEASURED: Final = 2

SECTIONS: Final[Mapping[str, tuple[str, Callable[[Bench], Iterator[Bar]]]]] = {
    "speed": ("Rows per second and memory, beside others", speed.run),
    "interruptions": ("Kills, and a storage that fails", interruptions.run),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    options = _options(argv)
    try:
        require_bundle(options.bundle)
        print(f"{versions(PACKAGES)}\n", flush=True)
        DATA.mkdir(parents=True, exist_ok=True)
        with _scratch(options.keep) as scratch:
            bench = Bench(
                options.bundle.absolute(),
                scratch,
                DATA.absolute(),
                options.seed,
                options.rows,
                options.few_rows,
                options.kills,
            )
            count = sum(_print_section(name, bench) for name in options.sections or SECTIONS)
    except BenchError as error:
        print(f"benchmarks.batch: {error}", file=sys.stderr)
        return EXIT_NOT_MEASURED
    print(f"{count} bars missed" if count else "every bar is met")
    return EXIT_MISSED if count else 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    summary = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="benchmarks.batch", description=summary)
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"Of {', '.join(SECTIONS)}; default: all."
    )
    parser.add_argument("--rows", type=int, default=10_000_000, help="Of the large workforce.")
    parser.add_argument("--few-rows", type=int, default=1_000_000, help="Of the small one.")
    parser.add_argument("--kills", type=int, default=25, help="Random moments of SIGKILL.")
    parser.add_argument("--seed", type=int, default=7, help="Of the random moments.")
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


def _print_section(name: str, bench: Bench) -> int:
    """Carry out one section and print its table; how many bars were missed."""
    title, run = SECTIONS[name]
    say(f"== {name}")
    bars = list(run(bench))
    print(f"**{name}**: {title}\n\n{HEADER}", *(bar.row for bar in bars), "", sep="\n", flush=True)
    return missed(bars)


if __name__ == "__main__":
    raise SystemExit(main())
