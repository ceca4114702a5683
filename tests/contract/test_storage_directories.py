"""What only a storage in a directory promises."""

import os
import sys
from pathlib import Path

import pytest

from adapters.storage import open_storage
from scoring.errors import InputError, LeaseHeld, StorageUnavailable


def test_a_write_that_fails_leaves_no_trace(tmp_path: Path) -> None:
    """A directory that cannot be written is unavailable storage, and no temporary file stays."""
    (tmp_path / "a").write_bytes(b"a file where a directory should be")
    storage = open_storage(str(tmp_path))
    with pytest.raises(StorageUnavailable, match="a/b"):
        storage.write("a/b", b"1")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    """No list shows it, and `sweep` removes it, and nothing else."""
    storage = open_storage(str(tmp_path))
    storage.write("a/b", b"1")
    (tmp_path / "a" / f".b.{'0' * 32}.tmp").write_bytes(b"half")
    (tmp_path / "a" / "c.tmp").write_bytes(b"1")
    with storage.lease("a/lease") as lease:
        assert [info.path for info in storage.list()] == ["a/b", "a/c.tmp"]
        storage.sweep("a")
        lease.check()
        assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [".lease.lock", "b", "c.tmp"]


def test_links_are_what_they_lead_to(tmp_path: Path) -> None:
    """A link to a file has its size and tag, and one that leads nowhere is listed, for its reader
    to be told; directories are not entered by links.
    """
    storage = open_storage(str(tmp_path))
    storage.write("real/f", b"12345")
    (tmp_path / "f").symlink_to(tmp_path / "real" / "f")
    (tmp_path / "d").symlink_to(tmp_path / "real")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    found = {info.path: info for info in storage.list()}
    assert sorted(found) == ["f", "gone", "real/f"]
    assert (found["f"].size, found["f"].etag) == (5, found["real/f"].etag)
    with storage.open("f", found["f"].etag) as file:
        assert file.read() == b"12345"


def test_two_writes_at_one_time_have_two_tags(tmp_path: Path) -> None:
    """A clock too coarse to tell two writes apart does not hide the second."""
    storage = open_storage(str(tmp_path))
    storage.write("f", b"first!")
    before, times = storage.list(), (tmp_path / "f").stat()
    storage.write("f", b"second")
    os.utime(tmp_path / "f", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert storage.list()[0].etag != before[0].etag


@pytest.mark.parametrize("name", ["plain", "with space", "é", "100%", "a#b"])
def test_a_plain_path_is_a_directory(tmp_path: Path, name: str) -> None:
    """A path without a scheme and its file: URL are the directory of exactly that name."""
    directory = tmp_path / name
    open_storage(str(directory)).write("f", b"1")
    assert (directory / "f").read_bytes() == b"1"
    assert open_storage(f"file://{directory}").read("f") == b"1"


def test_a_lease_that_was_removed_at_the_last_moment(tmp_path: Path) -> None:
    """Who opened the file before its holder removed it does not take it for the lease."""
    storage = open_storage(str(tmp_path))
    first, second, third = (storage.lease("lease") for _ in range(3))
    first.acquire()
    armed = [first]

    def let_go(event: str, _: tuple[object, ...]) -> None:
        if event == "fcntl.flock" and armed:
            armed.pop().release()

    sys.addaudithook(let_go)  # it stays, unarmed
    second.acquire(60)
    assert not armed
    second.check()
    with pytest.raises(LeaseHeld):
        third.acquire()
    second.release()


@pytest.mark.parametrize("change", [b"new" * 1_000_000, b"old" * 1_000_001])
def test_a_file_that_is_written_to_in_place(tmp_path: Path, change: bytes) -> None:
    """An exporter that is not done: nobody gets some of the one content and some of the other."""
    path = tmp_path / "f"
    path.write_bytes(b"old" * 1_000_000)
    with open_storage(str(tmp_path)).open("f") as file:
        assert file.read(10) == b"oldoldoldo"
        with path.open("r+b") as writer:
            writer.write(change)
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000))  # clocks of files are coarse
        with pytest.raises(InputError, match="f changed while it was read"):
            file.read()
