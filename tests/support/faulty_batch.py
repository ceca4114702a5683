"""The batch scorer where every so many calls to a directory fail.

`python -m tests.support.faulty_batch --run-id …` is `python -m batch_scorer`, whole, but that
fsspec's registry gives it another file system for `file:` URLs and paths. The environment variable
TRILANE_TEST_FAULTY_EVERY says how often a call fails (10 unless it is set); the number of faults is
the last line on stderr.
"""

import os
import sys

import fsspec

from batch_scorer.__main__ import main
from tests.support.faulty_storage import Faults, FaultyDirectory


def run() -> int:
    """The exit code of the batch scorer."""
    FaultyDirectory.faults = Faults(int(os.environ.get("TRILANE_TEST_FAULTY_EVERY", "10")))
    fsspec.register_implementation("file", FaultyDirectory, clobber=True)
    try:
        return main()
    finally:
        print(f"faults: {FaultyDirectory.faults.raised}", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(run())
