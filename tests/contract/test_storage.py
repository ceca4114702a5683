"""What every storage promises, whatever lies behind it."""

import io
import os
import threading
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.storage import Storage, open_storage
from scoring.errors import ConfigurationError, InputError, StorageUnavailable
from tests.contract.conftest import AZURITE, OpenAt

# aiohttp's hint about its event loop, which is a thread of fsspec's own here.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

ODD_PATHS = [
    "plain.bin",
    "model=toy/version=7/date=2026-03-02/hour=12/part-0.parquet",
    "with space/and+plus.bin",
    "Zürich/日本語/naïve.csv",
    "percent%20sign/100%.bin",
    "a#b/c&d.bin",
]


@pytest.mark.parametrize("path", ODD_PATHS)
def test_what_was_written_is_read(storage: Storage, path: str) -> None:
    """A file comes back byte for byte, under the name it was given."""
    data = bytes(range(256)) * 100
    storage.write(path, data)
    assert storage.read(path) == data
    assert storage.exists(path)
    assert [(info.path, info.size) for info in storage.list()] == [(path, len(data))]


def test_an_empty_file_is_a_file(storage: Storage) -> None:
    """Zero bytes are written, listed and read."""
    storage.write("empty", b"")
    assert storage.read("empty") == b""
    assert [(info.path, info.size) for info in storage.list()] == [("empty", 0)]


def test_a_write_replaces_the_file_and_changes_its_tag(storage: Storage) -> None:
    """The last write wins, and the tag tells the two contents apart, even at one size."""
    storage.write("a/b", b"first!")
    before = storage.list("a")
    storage.write("a/b", b"second")
    after = storage.list("a")
    assert storage.read("a/b") == b"second"
    assert [(info.path, info.size) for info in after] == [("a/b", 6)]
    assert before[0].etag != after[0].etag


def test_the_tag_of_an_untouched_file_stays(storage: Storage) -> None:
    """Reading and writing beside a file does not change its tag."""
    storage.write("a", b"1")
    before = storage.list("a")
    storage.write("b", b"2")
    storage.read("a")
    assert storage.list("a") == before


def test_delete_removes_one_file_and_may_be_repeated(storage: Storage) -> None:
    """A deleted file is gone, its neighbours stay, and deleting it again is no error."""
    storage.write("d/a", b"1")
    storage.write("d/b", b"2")
    storage.delete("d/a")
    storage.delete("d/a")
    storage.delete("never/was")
    assert not storage.exists("d/a")
    assert [info.path for info in storage.list()] == ["d/b"]


def test_directories_directly_below_a_prefix(storage: Storage) -> None:
    """By name, sorted, whatever lies in them; files and hidden ones are none."""
    for path in ("run=b/x/1", "run=a b/2", "run=b/3", ".hidden/4", "file", "deep/run=c/5"):
        storage.write(path, b"1")
    assert storage.directories() == ["deep", "run=a b", "run=b"]
    assert storage.directories("run=b") == ["x"]
    assert storage.directories("deep/") == ["run=c"]
    assert storage.directories("never/was") == []


def test_exists_knows_files_and_prefixes(storage: Storage) -> None:
    """A file exists, and so does a prefix with a file below it; the rest does not."""
    storage.write("a/b/c", b"1")
    assert storage.exists("a/b/c")
    assert storage.exists("a/b")
    assert storage.exists("a")
    assert not storage.exists("a/b/d")
    assert not storage.exists("b")


def test_a_prefix_that_does_not_exist_is_empty(storage: Storage) -> None:
    """Listing what is not there gives no files and no error, in a new and in a used storage."""
    assert storage.list() == []
    assert storage.list("nothing/here") == []
    storage.write("a/b", b"1")
    assert storage.list("nothing/here") == []
    assert storage.list("a/b/c") == []


def test_the_list_is_sorted_deep_and_relative(storage: Storage) -> None:
    """All files under a prefix at any depth, sorted by path from the storage's root."""
    paths = ["a/10", "a/2", "a/b/c/d", "a.txt", "b/x", "aa/y", "a=1/z"]
    for path in paths:
        storage.write(path, path.encode())
    assert [info.path for info in storage.list()] == sorted(paths)
    assert [info.path for info in storage.list("a")] == ["a/10", "a/2", "a/b/c/d"]
    assert [info.path for info in storage.list("a/b")] == ["a/b/c/d"]
    assert [info.path for info in storage.list("a/b/")] == ["a/b/c/d"]


def test_a_prefix_may_name_one_file(storage: Storage) -> None:
    """Listing a file's own path gives that file, and not one whose name starts alike."""
    storage.write("in/data.csv", b"123")
    storage.write("in/data.csv.bak", b"1")
    assert [(info.path, info.size) for info in storage.list("in/data.csv")] == [("in/data.csv", 3)]


def test_a_storage_may_be_one_file(open_at: OpenAt) -> None:
    """A URL of a file lists that file under the empty path, which can be read."""
    open_at("").write("in/data é.csv", b"123")
    alone = open_at("in/data é.csv")
    assert [(info.path, info.size) for info in alone.list()] == [("", 3)]
    assert alone.read("") == b"123"
    with alone.open("") as file:
        assert file.read() == b"123"


def test_a_storage_below_another_sees_the_same_files(open_at: OpenAt) -> None:
    """Paths are relative to the URL that was opened."""
    above, below = open_at(""), open_at("a/b")
    above.write("a/b/c", b"1")
    assert [info.path for info in below.list()] == ["c"]
    below.write("d", b"2")
    assert above.read("a/b/d") == b"2"
    assert below.url_of("d") == above.url_of("a/b/d")


def test_a_file_is_read_in_pieces(storage: Storage) -> None:
    """An opened file gives lines, seeks, and serves Parquet readers."""
    table = pa.table({"n": list(range(10_000))})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    storage.write("t.parquet", sink.getvalue())
    storage.write("lines", b"one\ntwo\nthree")
    with storage.open("lines") as file:
        assert file.readline() == b"one\n"
        assert file.readline(2) == b"tw"
        assert file.seek(0) == 0
        assert file.read() == b"one\ntwo\nthree"
    with storage.open("t.parquet") as file:
        assert pq.ParquetFile(file).read().equals(table)


@pytest.mark.parametrize("action", [Storage.read, Storage.open])
def test_a_missing_file_is_an_input_error(
    storage: Storage, action: Callable[[Storage, str], object]
) -> None:
    """Reading what is not there is terminal and names the file."""
    with pytest.raises(InputError, match=r"no/such file\.csv does not exist"):
        action(storage, "no/such file.csv")


def test_readers_never_see_part_of_a_file(storage: Storage) -> None:
    """While a file is replaced again and again, a reader sees one whole content or the other, and
    the list holds nothing else.
    """
    contents = [letter * 2_000_000 for letter in (b"a", b"b")]
    storage.write("f", contents[0])
    stop = threading.Event()

    def replace() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            storage.write("f", contents[turn % 2])

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        for _ in range(20):
            assert storage.read("f") in contents
            assert [(info.path, info.size) for info in storage.list()] == [("f", 2_000_000)]
    finally:
        stop.set()
        writer.join()


def test_a_second_door_to_the_same_url_sees_every_change(open_at: OpenAt) -> None:
    """No list or existence is remembered from before another's write."""
    storage, other = open_at(""), open_at("")
    assert other.list() == []
    assert not other.exists("a")
    storage.write("a", b"1")
    assert other.exists("a")
    assert [info.path for info in other.list()] == ["a"]
    storage.delete("a")
    assert other.list() == []


@pytest.mark.azurite
def test_a_missing_container_is_unavailable_storage() -> None:
    """The SDK's own errors do not get through the door."""
    connection_string = os.environ[AZURITE]
    url = "abfs://no-such-container@devstoreaccount1.dfs.core.windows.net/x"
    storage = open_storage(url, connection_string)
    with pytest.raises(StorageUnavailable, match="ResourceNotFoundError"):
        storage.write("a", b"1")
    assert storage.list() == []


@pytest.mark.parametrize("url", ["s3://bucket/x", "http://host/x", "ftp://host/x"])
def test_other_schemes_are_refused(url: str) -> None:
    """An unsupported scheme is a configuration error that names it."""
    with pytest.raises(ConfigurationError, match=url.partition(":")[0]):
        open_storage(url)


def test_a_malformed_connection_string_is_refused_at_once() -> None:
    """Before anybody is asked, and without a word of the secret."""
    with pytest.raises(ConfigurationError, match="malformed") as refused:
        open_storage("abfs://x@y.dfs.core.windows.net/", "hunter2-5551234")
    assert "hunter2" not in str(refused.value)
