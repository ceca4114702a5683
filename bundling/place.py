"""The place of a bundle on disk: one packager at a time, and a finished bundle put in at once.

Beside the bundle NAME lie, while it is made, `.NAME.lock`, `.NAME.<id>` (the work directory) and,
on a file system that cannot exchange two directories, for an instant `.NAME.<id>.previous`.
Whatever a packager that was killed left of them is put right by the next one.
"""

import atexit
import contextlib
import ctypes
import fcntl
import os
import re
import shutil
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scoring.errors import BundleError, ServiceUnavailable

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2


@contextmanager
def held(destination: Path) -> Iterator[None]:
    """Hold the bundle's place for the body, after clearing up what a killed packager left.

    Raises ServiceUnavailable at once when another process holds it, BundleError when the directory
    cannot be written.
    """
    lock = destination.with_name(f".{destination.name}.lock")
    with _writing(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(lock)
    try:
        with _writing(destination):
            _recover(destination)
        yield
    finally:
        _unlocked(descriptor, lock)


@contextmanager
def replacing(destination: Path) -> Iterator[Path]:
    """A new directory beside `destination` that replaces it when the body ends without an error.

    Needs `held`. On Linux a reader sees the old bundle or the new one; elsewhere, or where the file
    system refuses, none for an instant. The new files are on the disk before they are in their
    place. Raises BundleError when they cannot be written, and for any OSError in the body; in every
    case of failure, an interruption among them, `destination` is as it was.
    """
    work = destination.with_name(f".{destination.name}.{uuid.uuid4().hex}")
    try:
        with _writing(destination):
            work.mkdir()
            yield work
            _flush(work)
            _put_in_place(work, destination)
    except BaseException:
        # A download may go on in threads of its own, and make the directory anew. They have ended
        # when the interpreter calls what is registered here.
        atexit.register(shutil.rmtree, work, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _writing(destination: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BundleError(
            f"cannot write the bundle below {destination.parent}: {reason}; make room or rights "
            "there, or give another --output"
        ) from error


def _locked(lock: Path) -> int:
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_same_file(descriptor, lock):
                os.truncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
                return descriptor
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode(errors="replace") or "another process"
            os.close(descriptor)
            raise ServiceUnavailable(
                f"{lock} is held by {holder}, which is packaging the same model; wait for it, or "
                "give another --output"
            ) from None
        except BaseException:  # an interruption may come at any moment, and leaves no lock
            _unlocked(descriptor, lock)
            raise
        os.close(descriptor)  # its holder removed it before we had it


def _unlocked(descriptor: int, lock: Path) -> None:
    """Remove the lock if it is ours: while it is held, so that nobody else's is removed."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_same_file(descriptor, lock):
            lock.unlink()
    os.close(descriptor)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _recover(destination: Path) -> None:
    """Remove work directories; bring back a bundle whose packager died between two renames."""
    if destination.is_symlink() or (destination.exists() and not destination.is_dir()):
        raise BundleError(f"{destination} is no directory: remove it, or give another --output")
    pattern = re.compile(rf"\.{re.escape(destination.name)}\.[0-9a-f]{{32}}(\.previous)?")
    left = [path for path in destination.parent.iterdir() if pattern.fullmatch(path.name)]
    for path in left:
        if path.suffix == ".previous" and not destination.exists():
            path.rename(destination)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _put_in_place(work: Path, destination: Path) -> None:
    if not destination.exists():
        work.rename(destination)
    elif not _exchange(work, destination):
        rename_twice(work, destination)
    _flush_directory(destination.parent)


def rename_twice(work: Path, destination: Path) -> None:
    """What is done where two directories cannot be exchanged; undone when it fails half-way."""
    previous = work.with_name(f"{work.name}.previous")
    destination.rename(previous)
    try:
        work.rename(destination)
    except BaseException:
        previous.rename(destination)
        raise
    shutil.rmtree(previous, ignore_errors=True)


def _exchange(a: Path, b: Path) -> bool:
    """Swap two directories in one step with Linux's renameat2(2); False where that is refused."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):  # another system, or a C library without it
        return False
    paths = os.fsencode(a), os.fsencode(b)
    return bool(renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0)


def _flush(directory: Path) -> None:
    for path in (directory, *directory.rglob("*")):
        if path.is_dir():
            _flush_directory(path)
        elif path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
