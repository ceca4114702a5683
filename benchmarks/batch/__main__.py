"""Everything that is claimed of the batch scorer's speed, memory and survival, in one run.

    python -m benchmarks.batch [SECTION ...] [--rows N] [--few-rows N] [--kills N] [--seed N]
        [--bundle DIRECTORY] [--keep]

All sections by default. Prints a table per section on stdout, progress on stderr. Exits with 1 when
a bar is missed, with 2 when something cannot be measured.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from benchmarks.batch import interruptions, speed
from benchmarks.batch.bench import Bench
from benchmarks.measure import versions
from benchmarks.sections import CACHE, Sections, measure, scratch, section_parser

PACKAGES: Final = ("pyarrow", "onnxruntime", "mlflow", "pyspark", "pandas", "scikit-learn")

SECTIONS: Final[Sections[Bench]] = {
    "speed": ("Rows per second and memory, beside others", speed.run),
    "interruptions": ("Kills, and a storage that fails", interruptions.run),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = section_parser("benchmarks.batch", __doc__.splitlines()[0], SECTIONS)
    parser.add_argument("--rows", type=int, default=10_000_000, help="Of the large workforce.")
    parser.add_argument("--few-rows", type=int, default=1_000_000, help="Of the small one.")
    parser.add_argument("--kills", type=int, default=25, help="Random moments of SIGKILL.")
    parser.add_argument("--seed", type=int, default=7, help="Of the random moments.")
    parser.add_argument("--keep", action="store_true", help="Keep logs and data of the run.")
    options = parser.parse_args(argv)

    @contextmanager
    def opened() -> Iterator[Bench]:
        data = CACHE.absolute() / "batch"
        data.mkdir(parents=True, exist_ok=True)
        sizes = options.seed, options.rows, options.few_rows, options.kills
        with scratch(options.keep) as path:
            yield Bench(options.bundle.absolute(), path, data, *sizes)

    return measure(options, parser.prog, lambda: versions(PACKAGES), SECTIONS, opened)


if __name__ == "__main__":
    raise SystemExit(main())
