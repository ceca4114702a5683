"""The spool's writing side: what is on disk when an append returns, and what its bounds do."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.spool_segment import encode_header
from scoring.errors import ConfigurationError, StorageUnavailable
from tests.support.log_entries import RefusingSink
from tests.support.spool import SOON, Spools, eventually, open_spools


@pytest.fixture
def spools(tmp_path: Path) -> Iterator[Spools]:
    """Spools on an empty directory."""
    with open_spools(tmp_path) as opened:
        yield opened


def test_an_entry_is_on_disk_when_append_returns(spools: Spools) -> None:
    """One append, one frame in the open segment; nothing waits in memory."""
    log = spools.open()
    log.append(spools.batch(2, "one"))
    [segment] = spools.files()
    assert segment.read_bytes() == encode_header(spools.model) + spools.frame(2, "one")
    assert spools.counted("accepted") == 2


def test_a_segment_is_closed_at_its_age(spools: Spools) -> None:
    """Nobody has to close the log, and no later request is needed, for entries to be uploaded."""
    sink = RefusingSink()
    log = spools.open(SOON)
    spools.run(sink.open)
    log.append(spools.batch(3, "one"))
    eventually(lambda: len(sink.entry_ids) == 3)
    log.append(spools.batch(2, "two"))
    eventually(lambda: len(sink.entry_ids) == 5)
    eventually(lambda: spools.files() == [])


def test_an_outage_makes_few_segments(spools: Spools) -> None:
    """No segment is closed for its age while the one before it is still there."""
    log = spools.open(SOON)
    log.append(spools.batch(1, "a"))
    eventually(lambda: spools.upload(RefusingSink(10**9).open) is False)
    for name in "bcd":
        log.append(spools.batch(1, name))
        time.sleep(3 * SOON)
    assert len(spools.files()) == 2, "one that is closed, one open"
    sink = RefusingSink()
    spools.run(sink.open)
    eventually(lambda: sink.entry_ids == ["a-0", "b-0", "c-0", "d-0"])


def test_a_segment_has_a_size(spools: Spools) -> None:
    """A busy or long outage makes several segments, each small enough to hold in memory."""
    log = spools.open(segment_bytes=4000)
    for number in range(40):
        log.append(spools.batch(5, f"r{number}"))
    sizes = [p.stat().st_size for p in spools.files()]
    assert len(sizes) > 2
    assert max(sizes) < 8000


def test_an_append_after_close_is_kept(spools: Spools) -> None:
    """A request that ends late is on disk all the same, and needs no other end to be uploaded."""
    log = spools.open()
    log.close()
    log.append(spools.batch(1, "late"))
    [segment] = spools.files()
    assert segment.read_bytes().endswith(spools.frame(1, "late"))
    sink = RefusingSink()
    assert spools.upload(sink.open)
    assert sink.entry_ids == ["late-0"]


def test_a_full_spool_drops_and_counts(spools: Spools, caplog: pytest.LogCaptureFixture) -> None:
    """Beyond its size the spool takes no more, says so once, and takes more when it has room."""
    header, frame = encode_header(spools.model), spools.frame(2, "0")
    limit = 2 * len(header) + 3 * len(frame)
    log = spools.open(max_bytes=limit)
    for name in "01234":
        log.append(spools.batch(2, name))
    assert (spools.counted("accepted"), spools.counted("dropped")) == (6, 4)
    assert sum(p.stat().st_size for p in spools.files()) <= limit
    drops = [r for r in caplog.records if "dropped" in r.message]
    assert [r.message for r in drops] == ["inference log entries are dropped: the spool is full"]
    assert vars(drops[0])["event"] == "spool_dropping"
    log.close()
    sink = RefusingSink()
    assert spools.upload(sink.open)
    again = spools.open(max_bytes=limit)
    again.append(spools.batch(2, "5"))
    again.close()
    assert spools.upload(sink.open)
    assert sink.entry_ids == [f"{name}-{i}" for name in "0125" for i in range(2)]
    assert spools.counted("accepted") == spools.counted("written") == 8


def test_a_full_spool_empties_and_takes_more(spools: Spools) -> None:
    """The same log goes on when an uploader has made room: it measures at its interval."""
    limit = 2 * len(encode_header(spools.model)) + 2 * len(spools.frame(2, "0"))
    log = spools.open(SOON, max_bytes=limit)
    sink = RefusingSink(refusals=10**9)
    spools.run(sink.open)
    while not spools.counted("dropped"):
        log.append(spools.batch(2, "0"))
    sink.accept()
    eventually(lambda: spools.files() == [])

    def taken() -> bool:
        before = spools.counted("accepted")
        log.append(spools.batch(2, "1"))
        return spools.counted("accepted") > before

    eventually(taken)


def test_a_full_spool_refuses_when_told_to(
    spools: Spools, caplog: pytest.LogCaptureFixture
) -> None:
    """Then the caller hears of it, and nothing is dropped behind its back."""
    limit = 2 * len(encode_header(spools.model)) + len(spools.frame(1, "0"))
    log = spools.open(max_bytes=limit, refuse_when_full=True)
    log.append(spools.batch(1, "0"))
    for name in "12":
        with pytest.raises(StorageUnavailable, match="the spool is full"):
            log.append(spools.batch(9, name))
    assert (spools.counted("accepted"), spools.counted("dropped")) == (1, 0)
    messages = [r.message for r in caplog.records]
    assert messages == ["inference log entries are refused: the spool is full"]


def test_leftovers_count_against_the_size(spools: Spools) -> None:
    """The bound is on the directory, not on one process's part of it."""
    path = spools.leave(spools.batch(9, "old"))
    log = spools.open(max_bytes=path.stat().st_size + 100)
    log.append(spools.batch(1, "new"))
    assert spools.counted("dropped") == 1


def test_what_others_write_counts_soon(spools: Spools) -> None:
    """Two logs on a directory share its bound: neither can fill it alone."""
    frame = len(spools.frame(5, "000"))
    limit = 200 * frame
    logs = [spools.open(max_bytes=limit) for _ in range(2)]
    for number in range(400):
        logs[number % 2].append(spools.batch(5, f"{number:03}"))
        time.sleep(0.0002)
    assert spools.counted("dropped") > 0
    assert sum(p.stat().st_size for p in spools.files()) < limit * 1.5


def test_a_failing_disk_drops_and_counts(spools: Spools) -> None:
    """When the directory is gone, requests are still answered and the loss is counted."""
    log = spools.open()
    spools.directory.rmdir()
    log.append(spools.batch(2, "lost"))
    assert spools.counted("dropped") == 2
    spools.directory.mkdir()
    log.append(spools.batch(1, "kept"))
    log.close()
    sink = RefusingSink()
    assert spools.upload(sink.open)
    assert sink.entry_ids == ["kept-0"]


def test_a_failing_disk_refuses_when_told_to(spools: Spools) -> None:
    """As a full one does."""
    log = spools.open(refuse_when_full=True)
    spools.directory.rmdir()
    with pytest.raises(StorageUnavailable, match="No such file"):
        log.append(spools.batch(2, "refused"))
    assert spools.counted("dropped") == 0


def test_a_segment_deleted_by_somebody_is_noticed(spools: Spools) -> None:
    """What was in it is counted as dropped, and a new segment is made."""
    log = spools.open(SOON)
    log.append(spools.batch(2, "kept"))
    [closed] = spools.files()
    eventually(lambda: spools.upload(RefusingSink(10**9).open) is False)
    log.append(spools.batch(3, "lost"))
    [open_segment] = [path for path in spools.files() if path != closed]
    open_segment.unlink()
    eventually(lambda: spools.counted("dropped") == 3)
    log.append(spools.batch(1, "new"))
    log.close()
    sink = RefusingSink()
    assert spools.upload(sink.open)
    assert sink.entry_ids == ["kept-0", "kept-1", "new-0"]
    assert spools.counted("accepted") == spools.counted("written") + spools.counted("dropped")


def test_a_directory_that_cannot_be_made_is_a_configuration_error(spools: Spools) -> None:
    """The start fails and names the directory."""
    spools.directory.write_text("a file")
    with pytest.raises(ConfigurationError, match="spool"):
        spools.open()


def test_the_spool_is_readable_by_its_owner_only(spools: Spools) -> None:
    """Entries are personal data."""
    spools.open().append(spools.batch(1, "one"))
    assert [p.stat().st_mode & 0o077 for p in spools.files()] == [0]
    assert spools.directory.stat().st_mode & 0o077 == 0
