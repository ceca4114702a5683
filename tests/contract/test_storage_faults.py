"""What the door promises where the storage fails every so often."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.storage import Storage, open_storage
from adapters.storage.directory import DirectoryFiles
from adapters.storage.retries import Retries
from scoring.errors import ConfigurationError, InputError, StorageUnavailable
from tests.contract.conftest import AZURITE, azure_container
from tests.support.faulty_proxy import FAULTS, Fault, FaultyProxy, port_of, through
from tests.support.faulty_storage import Faults, FaultyDirectory

PATIENCE_SECONDS = 30
EVERY = 10  # no call of the door takes as many of the file system
EVERY_REQUEST = 3
NEVER = 1 << 40

pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

Call = Callable[[Storage], object]
CALLS: dict[str, Call] = {
    "write": lambda storage: storage.write("new/f", b"1"),
    "write_new": lambda storage: storage.write_new("new/f", b"1"),
    "read": lambda storage: storage.read("d/f"),
    "open": lambda storage: storage.open("d/f").close(),
    "exists": lambda storage: storage.exists("d/f"),
    "list": lambda storage: storage.list(),
    "delete": lambda storage: storage.delete("d/f"),
}
READS = ("read", "open", "exists", "list")


def over(directory: Path, faults: Faults, seconds: float = PATIENCE_SECONDS) -> Storage:
    """A door to a directory that fails; it does not really wait between attempts."""
    retries = Retries(seconds, sleep=lambda _: None)
    files = DirectoryFiles(FaultyDirectory(faults))
    return Storage(files, str(directory), directory.as_uri(), retries)


@contextmanager
def through_proxy(
    *faults: Fault, every: int = EVERY_REQUEST
) -> Iterator[tuple[Storage, FaultyProxy]]:
    """A door to Azurite through a network that fails."""
    direct = os.environ[AZURITE]
    with (
        azure_container(direct) as url,
        FaultyProxy(port_of(direct), every, *faults) as proxy,
    ):
        yield open_storage(url, through(proxy, direct), PATIENCE_SECONDS), proxy


@pytest.fixture(params=["file", pytest.param("abfs", marks=pytest.mark.azurite)])
def failing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """A storage of which every so manieth call, or request, fails; the test must have met some."""
    if request.param == "file":
        faults = Faults(EVERY)
        yield over(tmp_path, faults)
        assert faults.raised > 3
    else:
        with through_proxy() as (storage, proxy):
            yield storage
            assert set(proxy.faults) == set(FAULTS), "more requests than these must be tried"


def test_with_patience_nothing_is_noticed(failing: Storage) -> None:
    """Files are written, listed, read and deleted as if nothing had failed."""
    paths = [f"d/{number % 3}/{number}" for number in range(9)]
    for path in paths:
        failing.write(path, path.encode() * 1000)
    assert [info.path for info in failing.list("d")] == sorted(paths)
    assert [failing.read(path) for path in paths] == [p.encode() * 1000 for p in paths]
    assert all(failing.exists(path) for path in paths)
    for path in paths[1:]:
        failing.delete(path)
    assert [info.path for info in failing.list()] == paths[:1]
    assert not failing.exists(paths[1])
    with pytest.raises(InputError, match="does not exist"):
        failing.read(paths[1])


def test_with_patience_a_new_file_is_put_once(failing: Storage) -> None:
    """Each of several contents is put by its writer, and nobody else's is taken for one's own."""
    for number in range(9):
        assert failing.write_new(f"f{number}", f"mine {number}".encode())
        assert not failing.write_new(f"f{number}", b"yours")
        assert failing.read(f"f{number}") == f"mine {number}".encode()


def test_with_patience_a_file_is_read_to_its_end(failing: Storage) -> None:
    """Reading goes on where it was, byte for byte, in lines and in Parquet's jumps."""
    lines = [f"line {number}\n".encode() for number in range(1_500_000)]
    failing.write("lines", b"".join(lines))
    with failing.open("lines") as file:
        assert all(line == expected for line, expected in zip(file, lines, strict=True))
    table = pa.table({"n": list(range(100_000)), "t": [str(n) for n in range(100_000)]})
    pq.write_table(table, sink := pa.BufferOutputStream(), row_group_size=5_000)
    failing.write("t.parquet", sink.getvalue().to_pybytes())
    with failing.open("t.parquet") as file:
        assert pq.ParquetFile(file, pre_buffer=False).read().equals(table)


def test_with_patience_leases_are_held(failing: Storage) -> None:
    """Acquired, checked and released as ever."""
    for _ in range(10):
        failing.write("a", b"1")
        with failing.lease("lease") as lease:
            lease.check()


@pytest.mark.azurite
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_of_a_network_is_survived(fault: Fault) -> None:
    """A 503, and a connection that ends before, after or within an answer."""
    data = os.urandom(5 << 20)
    with through_proxy(fault) as (storage, proxy):
        for number in range(4):
            assert storage.write_new(f"f{number}", data)
        with storage.open("f0") as file:
            assert file.read() == data
        assert len(storage.list()) == 4
        assert len(proxy.faults) > 1


@pytest.mark.azurite
def test_what_the_libraries_repeat_is_not_anothers_file() -> None:
    """A request whose answer was lost is sent again below the door, and finds its own file."""
    with through_proxy("answer lost", every=2) as (storage, proxy):
        assert all(storage.write_new(f"f{number}", b"1") for number in range(5))
        assert not any(storage.write_new(f"f{number}", b"2") for number in range(5))
        assert len(proxy.faults) >= 5


@pytest.mark.parametrize("call", CALLS)
def test_without_patience_the_first_fault_is_told(tmp_path: Path, call: str) -> None:
    """Every method raises StorageUnavailable, with the URL and the reason."""
    _make_files(tmp_path)
    faults = Faults(1, errno.EIO)
    with pytest.raises(StorageUnavailable, match=rf"{tmp_path}/.*: Input/output error"):
        CALLS[call](over(tmp_path, faults, seconds=0))
    assert faults.raised == 1


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_permission_denied_is_terminal(tmp_path: Path, call: str, code: int) -> None:
    """It is a setting that is wrong; nobody waits for it to heal."""
    _make_files(tmp_path)
    faults = Faults(1, code)
    action = "read" if call in READS else "written"
    text = f"{tmp_path}.* may not be {action}: {os.strerror(code).lower()}"
    with pytest.raises(ConfigurationError, match=text):
        CALLS[call](over(tmp_path, faults))
    assert faults.raised == 1


def test_what_waiting_does_not_cure_is_told_at_once(tmp_path: Path) -> None:
    """A directory where a file should be, for one."""
    faults = Faults(1, errno.EISDIR)
    with pytest.raises(StorageUnavailable, match="Is a directory"):
        over(tmp_path, faults).read("f")
    assert faults.raised == 1


def test_a_directory_that_cannot_be_listed_is_not_left_out(tmp_path: Path) -> None:
    """A list is all there is, or an error."""
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_bytes(b"1")
    with pytest.raises(StorageUnavailable):
        over(tmp_path, Faults(3), seconds=0).list()
    assert len(over(tmp_path, Faults(3)).list()) == 3


def test_a_read_that_fails_on_the_way_is_translated(tmp_path: Path) -> None:
    """An error in the middle of an opened file is unavailable storage, as it is at its opening."""
    _make_files(tmp_path)
    file = over(tmp_path, Faults(2), seconds=0).open("d/f")
    with file, pytest.raises(StorageUnavailable, match="d/f"):
        file.read()


def test_a_file_that_was_replaced_is_not_read_on(tmp_path: Path) -> None:
    """After a fault the file is opened anew; what has its name by then may be another."""
    _make_files(tmp_path)
    file = over(tmp_path, Faults(2)).open("d/f")
    open_storage(str(tmp_path)).write("d/f", b"another")
    with file, pytest.raises(InputError, match="d/f changed while it was read"):
        file.read()


def _make_files(directory: Path) -> None:
    (directory / "d").mkdir()
    (directory / "d" / "f").write_bytes(b"1")
