"""What every storage promises of a file that changes while it is read."""

import os

import pytest

from adapters.storage import Storage, open_storage
from scoring.errors import InputError
from tests.contract.conftest import AZURITE, OpenAt

pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

OLD = b"old" * 5_000_000
NEW = b"new" * 5_000_000


@pytest.mark.parametrize("open_at", ["file", "memory"], indirect=True)
def test_an_opened_file_stays_what_it_was(storage: Storage) -> None:
    """Replaced in the middle, it is read to its old end."""
    storage.write("f", OLD)
    with storage.open("f") as file:
        begin = file.read(10)
        storage.write("f", NEW)
        assert begin + file.read() == OLD


@pytest.mark.azurite
def test_a_blob_that_was_replaced_is_not_read_on(container: str) -> None:
    """Nobody gets the begin of one content and the end of another."""
    storage = open_storage(container, os.environ[AZURITE])
    storage.write("f", OLD)
    with storage.open("f") as file:
        assert file.read(10) == OLD[:10]
        storage.write("f", NEW)
        with pytest.raises(InputError, match="f changed while it was read"):
            file.read()
    with storage.open("f") as file:
        assert file.read(3) == b"new"
        storage.delete("f")
        with pytest.raises(InputError, match=r"f (does not exist|changed)"):
            file.read()


def test_the_tag_of_a_list_opens_that_content_only(open_at: OpenAt) -> None:
    """A file that was replaced since it was listed is refused."""
    storage = open_at("")
    storage.write("f", b"old")
    (listed,) = open_at("").list()
    with storage.open("f", listed.etag) as file:
        assert file.read() == b"old"
    storage.write("f", b"new")
    with pytest.raises(InputError, match="f changed since it was listed"):
        storage.open("f", listed.etag)
    with storage.open("f", storage.list()[0].etag) as file:
        assert file.read() == b"new"


def test_two_readers_of_one_file_have_positions_of_their_own(storage: Storage) -> None:
    """What one reads does not move the other."""
    storage.write("f", b"0123456789" * 100_000)
    with storage.open("f") as first, storage.open("f") as second:
        assert first.read(500_000)[-1:] == b"9"
        assert second.read(4) == b"0123"
        assert first.read(4) == b"0123"
        assert second.seek(-3, os.SEEK_END) == 999_997
        assert second.read() == b"789"
        assert second.read() == b""
        assert first.tell() == 500_004
