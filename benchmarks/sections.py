"""A benchmark of several sections as a command: its options, its directory, tables, exit codes."""

import argparse
import shutil
import sys
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Final, TypeVar

from benchmarks.online.ours import require_bundle
from benchmarks.online.report import HEADER, Bar, missed
from benchmarks.online.servers import BenchError

BUNDLE: Final = Path("var/demo/bundles/employee_attrition")
CACHE: Final = Path("var/bench")

EXIT_MISSED: Final = 1
EXIT_NOT_MEASURED: Final = 2

B = TypeVar("B")
Sections = Mapping[str, tuple[str, Callable[[B], Iterator[Bar]]]]
"""By name: a title, and what measures it."""


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(text, file=sys.stderr, flush=True)


def section_parser(prog: str, summary: str, sections: Sections[B]) -> argparse.ArgumentParser:
    """With the sections and the bundle; what else there is comes from the caller."""
    parser = argparse.ArgumentParser(prog=prog, description=summary)
    parser.add_argument(
        "sections",
        nargs="*",
        metavar="SECTION",
        type=_one_of(sections),
        help=f"Of {', '.join(sections)}; default: all.",
    )
    parser.add_argument("--bundle", type=Path, default=BUNDLE, help="Bundle of the shipped model.")
    return parser


def measure(
    options: argparse.Namespace,
    prog: str,
    versions: Callable[[], str],
    sections: Sections[B],
    opened: Callable[[], AbstractContextManager[B]],
) -> int:
    """Carry out the sections that were asked for and print their tables; the exit code."""
    try:
        require_bundle(options.bundle)
        print(f"{versions()}\n", flush=True)
        with opened() as bench:
            names = options.sections or sections
            count = sum(_measured(name, *sections[name], bench) for name in names)
    except BenchError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return EXIT_NOT_MEASURED
    print(f"{count} bars missed" if count else "every bar is met")
    return EXIT_MISSED if count else 0


@contextmanager
def scratch(keep: bool) -> Iterator[Path]:
    """A directory of this run, which stays if it is to be kept."""
    CACHE.mkdir(parents=True, exist_ok=True)
    path = Path(mkdtemp(dir=CACHE, prefix="run-")).absolute()
    try:
        yield path
    finally:
        if keep:
            say(f"what the processes said and wrote is in {path}")
        else:
            shutil.rmtree(path, ignore_errors=True)


def _one_of(names: Container[str]) -> Callable[[str], str]:
    def checked(name: str) -> str:
        if name not in names:
            raise argparse.ArgumentTypeError(f"there is no section {name}")
        return name

    return checked


def _measured(name: str, title: str, run: Callable[[B], Iterator[Bar]], bench: B) -> int:
    """How many bars were missed."""
    say(f"== {name}")
    bars = list(run(bench))
    print(f"**{name}**: {title}\n\n{HEADER}", *(bar.row for bar in bars), "", sep="\n", flush=True)
    return missed(bars)
