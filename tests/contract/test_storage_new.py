"""What every storage promises of files that are created once."""

import errno
import os
from pathlib import Path

import pytest

from adapters.storage import Storage
from adapters.storage.directory import DirectoryFiles
from adapters.storage.retries import Retries
from scoring.errors import StorageUnavailable
from tests.contract.conftest import OpenAt, on_disk_and_azure
from tests.support.faulty_storage import Faults, FaultyDirectory
from tests.support.storage_process import LINES, DoorProcess, create_from_threads

NEVER = 1 << 40

pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")


def test_a_new_file_is_put_once(storage: Storage) -> None:
    """The first writer gets True, the next False, and the file stays as the first wrote it."""
    assert storage.write_new("run=1/_run/plan.json", b"first")
    assert not storage.write_new("run=1/_run/plan.json", b"second")
    assert not storage.write_new("run=1/_run/plan.json", b"first")
    assert storage.read("run=1/_run/plan.json") == b"first"
    assert [info.path for info in storage.list()] == ["run=1/_run/plan.json"]


def test_a_file_that_was_written_or_deleted(storage: Storage) -> None:
    """What `write` put is there for `write_new`, which may put what was deleted."""
    storage.write("a", b"1")
    assert not storage.write_new("a", b"2")
    storage.delete("a")
    assert storage.write_new("a", b"2")
    storage.write("a", b"3")
    assert storage.read("a") == b"3"


def test_of_many_threads_one_creates(storage: Storage) -> None:
    """One of eight threads gets True, and the file is whole and of one of them."""
    for attempt in range(5):
        assert sorted(create_from_threads(storage, f"f{attempt}", "me")).count(True) == 1
        _check_whole(storage, f"f{attempt}")


@on_disk_and_azure
def test_of_many_processes_one_creates(open_at: OpenAt) -> None:
    """One thread of one of three processes gets True."""
    storage = open_at("")
    with DoorProcess(storage.url) as first, DoorProcess(storage.url) as second:
        for attempt in range(5):
            for process, name in ((first, "first"), (second, "second")):
                process.tell("create", f"f{attempt}", name)
            created = create_from_threads(storage, f"f{attempt}", "third")
            created += first.answer() + second.answer()
            assert (len(created), created.count(True)) == (24, 1)
            _check_whole(storage, f"f{attempt}")


class WithoutLinks(FaultyDirectory):
    """A file system without hard links, as that of Azure Files over SMB."""

    def link(self, src: str, dst: str, **kwargs: object) -> None:  # noqa: ARG002
        """Refused, as the system does there."""
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


class LosesAnswers(FaultyDirectory):
    """A file system where a file gets its name, and nobody is told."""

    def link(self, src: str, dst: str, **kwargs: object) -> None:
        """Done, and failed."""
        super().link(src, dst, **kwargs)
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_directory_without_hard_links(tmp_path: Path) -> None:
    """The promise holds without them, and nothing else is left behind."""
    storage = _directory(tmp_path, WithoutLinks(Faults(NEVER)))
    for attempt in range(5):
        assert create_from_threads(storage, f"f{attempt}", "me").count(True) == 1
        _check_whole(storage, f"f{attempt}")
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"f{n}" for n in range(5)]


def test_an_answer_that_was_lost_is_not_anothers_file(tmp_path: Path) -> None:
    """What was put although its call failed counts as put; a file with another content does not."""
    storage = _directory(tmp_path, LosesAnswers(Faults(NEVER)), retry_seconds=5)
    assert storage.write_new("mine", b"1")
    (tmp_path / "other").write_bytes(b"2")
    assert not storage.write_new("other", b"1")
    assert (tmp_path / "other").read_bytes() == b"2"


def test_without_patience_a_lost_answer_is_unavailable_storage(tmp_path: Path) -> None:
    """Whether the file was put is not known then."""
    storage = _directory(tmp_path, LosesAnswers(Faults(NEVER)))
    with pytest.raises(StorageUnavailable):
        storage.write_new("mine", b"1")


def _directory(path: Path, filesystem: FaultyDirectory, retry_seconds: float = 0) -> Storage:
    return Storage(DirectoryFiles(filesystem), str(path), path.as_uri(), Retries(retry_seconds))


def _check_whole(storage: Storage, path: str) -> None:
    lines = storage.read(path).splitlines()
    assert (len(lines), len(set(lines))) == (LINES, 1)
