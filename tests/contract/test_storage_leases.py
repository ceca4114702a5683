"""What every storage promises of leases."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.storage import Storage, open_storage
from scoring.errors import LeaseHeld, TransientError
from tests.contract.conftest import OpenAt, on_disk_and_azure
from tests.support.storage_process import DoorProcess

PATH = "run=1/_run/lease"
TERM_SECONDS = 15
"""The shortest that Azure has."""


def test_one_holds_it_and_then_the_next(storage: Storage) -> None:
    """A lease that is held refuses others and says who has it; released, the next gets it."""
    first, second = storage.lease(PATH), storage.lease(PATH)
    with first:
        first.check()
        with pytest.raises(LeaseHeld, match=r"process \d+ on .* holds .*run=1/_run/lease"):
            second.acquire()
        with storage.lease("run=2/_run/lease") as other:
            other.check()
    second.acquire()
    second.check()
    second.release()


def test_doors_share_their_leases(open_at: OpenAt) -> None:
    """A lease is that of the storage, not of the door to it."""
    with open_at("run=1").lease("_run/lease"), pytest.raises(LeaseHeld):
        open_at("").lease(PATH).acquire()


def test_what_is_not_held_fails_its_check(storage: Storage) -> None:
    """Before it was acquired and after it was released."""
    lease = storage.lease(PATH)
    with pytest.raises(TransientError, match="lost"):
        lease.check()
    with lease:
        lease.acquire()
        lease.check()
    with pytest.raises(TransientError, match="lost"):
        lease.check()


@pytest.mark.parametrize("remove", [True, False])
def test_release_may_be_repeated_and_hurts_no_other(storage: Storage, remove: bool) -> None:
    """Only the first time does anything, so the next holder keeps what it has."""
    first, second = storage.lease(PATH), storage.lease(PATH)
    first.acquire()
    first.release(remove)
    second.acquire()
    first.release(remove)
    second.check()
    with pytest.raises(LeaseHeld):
        first.acquire()
    second.release()
    first.acquire()
    first.release()


def test_readers_of_data_do_not_see_it(storage: Storage) -> None:
    """A lease is no file in any list, held or left behind; removed, nothing of it stays."""
    storage.write("run=1/_run/plan.json", b"{}")
    lease = storage.lease(PATH)
    with lease:
        assert [i.path for i in storage.list()] == ["run=1/_run/plan.json"]
    assert [i.path for i in storage.list("run=1/_run")] == ["run=1/_run/plan.json"]
    storage.delete("run=1/_run/plan.json")
    lease.acquire()
    lease.release(remove=False)
    assert storage.list() == []


def test_who_waits_gets_it(storage: Storage) -> None:
    """`acquire` with patience returns when the holder is done."""
    holder, waits = storage.lease(PATH), storage.lease(PATH)
    holder.acquire()
    asked = threading.Event()

    def wait() -> None:
        asked.set()
        waits.acquire(60)

    thread = threading.Thread(target=wait)
    thread.start()
    asked.wait(30)
    holder.release()
    thread.join(60)
    waits.check()
    waits.release()


def test_threads_exclude_each_other(storage: Storage) -> None:
    """A number that eight threads add to, each under the lease, misses none."""
    storage.write("number", b"0")
    turns = 3

    def add(_: int) -> None:
        for _ in range(turns):
            lease = storage.lease("number.lease")
            lease.poll_seconds = 0.01
            lease.acquire(120)
            with lease:
                storage.write("number", str(int(storage.read("number")) + 1).encode())

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(8)))
    assert storage.read("number") == b"24"


@on_disk_and_azure
def test_processes_exclude_each_other(open_at: OpenAt) -> None:
    """One process has it, the other is told which; released, the other gets it."""
    url = open_at("").url
    with DoorProcess(url) as first, DoorProcess(url) as second:
        assert first.ask("acquire", PATH, 0, TERM_SECONDS) == ""
        assert f"process {first.process.pid} " in second.ask("acquire", PATH, 0, TERM_SECONDS)
        assert first.ask("check") == ""
        first.ask("release")
        assert second.ask("acquire", PATH, 0, TERM_SECONDS) == ""
        assert second.ask("check") == ""


def test_processes_on_a_disk_miss_no_turn(tmp_path: Path) -> None:
    """Two processes that take turns, removing the lease each time, exclude each other."""
    storage = open_storage(str(tmp_path))
    storage.write("number", b"0")
    with DoorProcess(storage.url) as first, DoorProcess(storage.url) as second:
        first.tell("count", "number", 20)
        second.tell("count", "number", 20)
        assert max(first.answer(), second.answer()) == 40
    assert [p.name for p in tmp_path.iterdir()] == ["number"]


@on_disk_and_azure
def test_a_killed_holder_lets_it_go(open_at: OpenAt) -> None:
    """After SIGKILL whoever waits gets the lease: in a directory without waiting."""
    storage = open_at("")
    with DoorProcess(storage.url) as holder:
        assert holder.ask("acquire", PATH, 0, TERM_SECONDS) == ""
        holder.process.kill()
        holder.process.wait()
    patience = 0 if storage.url.startswith("file:") else 60
    lease = storage.lease(PATH)
    lease.acquire(patience)
    with lease:
        lease.check()


def test_a_lease_whose_file_was_removed_is_lost(tmp_path: Path) -> None:
    """Who removes the directory of a run takes the lease away, and its holder notices."""
    lease = open_storage(str(tmp_path)).lease("lease")
    with lease:
        (tmp_path / ".lease.lock").unlink()
        with pytest.raises(TransientError, match="lost"):
            lease.check()
