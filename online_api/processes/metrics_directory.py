"""The directory in which the processes of one server share their metrics."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PREFIX: Final = "trilane-metrics-"


@contextmanager
def metrics_directory(parent: Path | None = None) -> Iterator[Path]:
    """A fresh directory, in the one for temporary files, removed at the end.

    Those of servers that were killed are removed first: whoever lives holds a lock on its own.
    """
    parent = parent or Path(tempfile.gettempdir())
    for left in parent.glob(f"{PREFIX}*"):
        if (lock := _locked(left)) is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)
    # It gets the name by which others find it when it is locked.
    new = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=parent))
    lock = _locked(new)
    directory = new.rename(parent / new.name[1:])
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _locked(directory: Path) -> int | None:
    """A descriptor that holds the lock on a directory; None when it cannot be had."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
