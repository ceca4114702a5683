"""Two replays at once."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from adapters.storage import Storage, open_storage
from scoring.errors import StorageUnavailable, TransientError
from stream_worker.replay.lease import LEASE, ROOT, Held, Lease

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
HERE = socket.gethostname()


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """Empty storage."""
    return open_storage(tmp_path.as_uri())


def hold(storage: Storage, host: str, process: int, until: datetime) -> None:
    """A lease of another run."""
    held = Held("r1", host, process, until)
    storage.write(f"{ROOT}/r1.json", msgspec.json.encode(held))


def lease(storage: Storage) -> Lease:
    """That of the run r2, at `NOW`."""
    return Lease(storage, "r2", lambda: NOW)


async def test_a_second_run_is_refused_while_the_first_is_under_way(storage: Storage) -> None:
    """It says which one it is, and leaves nothing behind; afterwards another may begin."""
    hold(storage, "elsewhere", 1, NOW + timedelta(seconds=1))
    with pytest.raises(TransientError, match="replay r1 is under way"):
        async with lease(storage):
            raise AssertionError("it began")
    assert [file.path for file in storage.list(ROOT)] == [f"{ROOT}/r1.json"]
    storage.delete(f"{ROOT}/r1.json")
    async with lease(storage):
        held = msgspec.json.decode(storage.read(f"{ROOT}/r2.json"), type=Held)
        assert held == Held("r2", HERE, os.getpid(), NOW + LEASE)
    assert storage.list(ROOT) == []


async def test_a_lease_ends_by_itself(storage: Storage) -> None:
    """A run that was killed elsewhere is waited for no longer than a minute."""
    hold(storage, "elsewhere", 1, NOW - timedelta(seconds=1))
    async with lease(storage):
        assert [file.path for file in storage.list(ROOT)] == [f"{ROOT}/r2.json"]


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process of this machine."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


async def test_a_run_that_was_killed_here_is_not_waited_for(
    storage: Storage, other: subprocess.Popen[bytes]
) -> None:
    """Its process is gone, or is this one, as in a container that was started again."""
    hold(storage, HERE, other.pid, NOW + LEASE)
    with pytest.raises(TransientError):
        await lease(storage).__aenter__()
    other.kill()
    other.wait()
    async with lease(storage):
        pass
    hold(storage, HERE, os.getpid(), NOW + LEASE)
    async with lease(storage):
        pass


async def test_storage_that_fails_later_does_no_harm(storage: Storage, tmp_path: Path) -> None:
    """A lease that cannot be given back ends by itself; one that cannot be taken is an error."""
    async with lease(storage):
        (tmp_path / ROOT / "r2.json").unlink()
        (tmp_path / ROOT / "r2.json").mkdir()
    (tmp_path / ROOT / "r2.json").rmdir()
    (tmp_path / ROOT).rmdir()
    (tmp_path / ROOT).write_text("")
    with pytest.raises(StorageUnavailable):
        await lease(storage).__aenter__()
